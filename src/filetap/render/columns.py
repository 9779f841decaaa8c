"""The meaning of the wire format's columns: distinct values and their positions, operations, durations, clock times.

Separate, because every sink and the analyses need the same columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from filetap.core import wire
from filetap.core.batch import Batch
from filetap.core.wire import Records
from filetap.render import arrow


def encode(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return the distinct values in order of appearance, and the index of each row's value. Records are compared as bytes."""
    values = np.ascontiguousarray(values)
    encoded = arrow.distinct(arrow.array(values))
    distinct = np.frombuffer(encoded.dictionary.buffers()[1], values.dtype, len(encoded.dictionary))
    return distinct, encoded.indices.to_numpy()


def pack(**columns: NDArray[Any]) -> Records:
    """Return the columns side by side as records, to be encoded together."""
    count = len(next(iter(columns.values())))
    records = np.empty(count, [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        records[name] = column
    return records


def ops(calls: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return numbers of OPS. The wire format has no bit for it, so a new thread counts as its call's ``fork``."""
    return np.asarray(wire.OP_OF_CALL[calls], np.uint8)


def second(batch: Batch, name: str) -> NDArray[Any]:
    """Return a column of the second slots, at the rows of their events; 0 at the others."""
    column = np.zeros(len(batch.events), wire.EVENT_EXT[name])
    if len(batch.ext):
        column[batch.events["flags"] & wire.HAS_EXT != 0] = batch.ext[name]
    return column


def durations(events: Records) -> NDArray[np.uint64]:
    """Return nanoseconds; 0: not known."""
    values = events["duration"].astype(np.uint64)
    for flag, unit in ((wire.MICROSECONDS, 1000), (wire.MILLISECONDS, 1_000_000)):
        coarse = events["flags"] & flag != 0
        values = np.where(coarse, values * np.uint64(unit), values) if coarse.any() else values
    return values


def clock(events: Records, realtime: int) -> NDArray[np.int64]:
    """Return CLOCK_REALTIME of each event, nanoseconds."""
    return np.asarray(events["time"].astype(np.int64) + realtime)
