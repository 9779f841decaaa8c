"""Traces that tests write and read back: batches in, plain rows out.

Separate from the tests, because several need it. The rows come from the batches themselves, not from columns of a
trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from filetap.core.batch import Batch
from filetap.core.calls import CALLS
from filetap.core.wire import HAS_EXT, NO_RESULT
from filetap.recording import tables
from filetap.recording.format import Metadata
from filetap.recording.reader import Trace
from filetap.recording.retention import Limits
from filetap.recording.writer import TraceSink

Row = tuple[Any, ...]


def metadata(**more: Any) -> Metadata:
    fixed: dict[str, Any] = {
        "uuid": "u",
        "node": "here",
        "boot": "b",
        "kernel": "6",
        "machine": "x",
        "filetap": "0",
        "began": "2026-01-01T00:00:00Z",
    } | more
    return Metadata(**fixed, calls=[(call.op, call.name) for call in CALLS])


def record(folder: Path, batches: Iterable[Batch], limits: Limits | None = None, **more: Any) -> Trace:
    """Write, seal and open a trace. ``more``: of the metadata."""
    sink = TraceSink(folder, metadata(**more), limits)
    for batch in batches:
        sink.write(batch)
    sink.close()
    return Trace(folder)


COPIES: Final = ("sendfile", "splice", "tee", "copy_file_range", "reflink", "dedupe")
"""Ops of two descriptors; for others the wire format has no second one."""


def rows_of(batch: Batch) -> Iterator[Row]:
    """Return each event as a row, with all fields that a trace keeps."""
    ext = iter(batch.ext)
    for event in batch.events:
        fields = {name: int(event[name]) for name in tables.FIRST}
        if fields["flags"] & NO_RESULT:
            fields["result"] = 0
        if fields["flags"] & HAS_EXT:
            second = next(ext)
            fields |= {name: int(second[name]) for name in tables.SECOND}
            if CALLS[fields["call"]].op not in COPIES:
                del fields["target_fd"]
        yield (batch.realtime, *fields.values())


def plain(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows with times in nanoseconds."""
    return pa.table({name: whole(column) for name, column in zip(table.column_names, table.columns, strict=True)}).to_pylist()  # type: ignore[no-any-return]


def whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column


def rows_in(trace: Trace) -> list[Row]:
    """Return the same for a trace."""
    found: list[Row] = []
    for rows in trace.batches("events"):
        events, ext, realtime = tables.replayed(rows)
        for number, row in enumerate(rows_of(Batch(events, {}, {}, 0, ext))):
            found.append((int(realtime[number]), *row[1:]))
    return found
