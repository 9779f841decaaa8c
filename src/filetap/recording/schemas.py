"""The columns of a recording as Arrow's schemas.

Separate from format.py, because Arrow is slow to import, and queries of an intact recording do not need it.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from filetap.recording.format import COLUMNS

TYPES: Final = {
    "name": pa.dictionary(pa.int32(), pa.string()),
    "time": pa.timestamp("ns", "UTC"),
    "list": pa.list_(pa.binary()),
    "numbers": pa.list_(pa.uint32()),
    "texts": pa.list_(pa.string()),
}
"""The types of format.py that Arrow does not have."""

SCHEMAS: Final = {
    table: pa.schema([(name, TYPES.get(kind) or pa.type_for_alias(kind)) for name, kind in columns.items()])
    for table, columns in COLUMNS.items()
}
EVENTS, FILES, TASKS, AGGREGATED = (SCHEMAS[name] for name in ("events", "files", "tasks", "aggregated"))

RECORDED: Final = pa.schema(
    [
        ("time", pa.uint64()),
        ("realtime", pa.int64()),
        *((name, pa.uint64()) for name in ("offset", "size")),
        ("result", pa.int64()),
        *((name, pa.uint32()) for name in ("duration", "task", "file", "tid")),
        ("fd", pa.int32()),
        ("open", pa.uint32()),
        ("call", pa.uint16()),
        ("flags", pa.uint32()),
        ("target_offset", pa.uint64()),
        ("target", pa.uint32()),
        ("target_fd", pa.int32()),
        ("argument", pa.uint32()),
    ]
)
"""Events while a segment is written: the columns of the wire format (bpf/event.h), which cost least; sealing translates them."""
