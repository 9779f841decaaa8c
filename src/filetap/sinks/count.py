"""Counts events and writes nothing: ``-f none`` uses it, and it shows the pipeline's own cost.

Separate, because a count that skipped the work before the sinks would prove nothing: it decodes the operations and looks up
every file and task, as any other sink does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filetap.core.batch import Batch, Overflow
from filetap.core.calls import OPS
from filetap.core.sink import Sink
from filetap.render.columns import encode, ops


class CountSink(Sink):
    def __init__(self) -> None:
        self.ops: NDArray[np.int64] = np.zeros(len(OPS), np.int64)
        """Events by number of OPS."""
        self.overflows = 0
        """Events that arrived aggregated."""
        self.unknown = 0
        """Events whose file or task is not in the batch. None, unless the reader or a probe has a bug."""
        self.written = 0
        self._files, self._tasks = Known(), Known()
        self.draining = False

    def write(self, batch: Batch) -> None:
        events = batch.events
        if not len(events):
            return
        self.ops += np.bincount(ops(events["call"]), minlength=len(OPS))
        unknown = self._files.unknown_rows(events["file"], batch.files) | self._tasks.unknown_rows(events["task"], batch.tasks)
        self.unknown += int(unknown.sum())
        self.written += len(events)

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        self.overflows += sum(overflow.count for overflow in overflows)


class Known:
    """The ids that were found known before: an id means the same as long as the trace lasts."""

    LIMIT: Final = 1 << 16

    def __init__(self) -> None:
        self._ids: set[int] = {0}
        """0 refers to nothing."""

    def unknown_rows(self, ids: NDArray[Any], known: Mapping[int, object]) -> NDArray[np.bool_]:
        """Return which rows refer to an id that is not known."""
        distinct, rows = encode(ids)
        new = set(distinct.tolist()) - self._ids
        missing = [number for number in new if number not in known]
        if len(self._ids) > self.LIMIT:
            self._ids = {0}
        self._ids |= new.difference(missing)
        return np.asarray(np.isin(distinct, missing)[rows] if missing else np.zeros(len(ids), np.bool_))
