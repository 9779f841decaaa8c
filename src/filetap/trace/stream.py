"""A table while it is written: an Arrow IPC stream, and beside it a journal with the CRC of each message.

Apart, because it alone knows what a kill leaves behind: what the journal names is whole or damaged, what it does not name
was under way. Next: writer.py writes streams, reader.py and seal.py read them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

import pyarrow as pa

ENTRY: Final = struct.Struct("<QQII")
"""Of the journal: where a message begins, its bytes, their CRC-32 (as zlib's), rows."""
END: Final = b"\xff\xff\xff\xff\0\0\0\0"
"""End of an Arrow IPC stream."""


class StreamWriter:
    """Writes ``path`` and its journal. OSError when there is no room; then what was written before stays readable."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o644)
        self._journal = os.open(path.with_suffix(".crc"), flags, 0o644)
        self.size = 0
        """Bytes; so many rows: ``rows``."""
        self.rows = 0
        self._put(schema.serialize(), 0)

    def write(self, batch: pa.RecordBatch) -> None:
        self._put(batch.serialize(), batch.num_rows)
        self.rows += batch.num_rows

    def _put(self, message: pa.Buffer, rows: int) -> None:
        view = memoryview(message)
        _write(self._fd, view)
        _write(self._journal, memoryview(ENTRY.pack(self.size, len(view), crc32(view), rows)))
        self.size += len(view)

    def close(self) -> None:
        _write(self._fd, memoryview(END))
        for fd in (self._fd, self._journal):
            os.close(fd)


def _write(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]


@dataclass(slots=True)
class Damage:
    """What could not be read: which file, where, how many rows, and why."""

    path: Path
    offset: int
    rows: int
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why} at byte {self.offset}: {self.rows} rows skipped"


def read(path: Path, schema: pa.Schema, damages: list[Damage]) -> Iterator[pa.RecordBatch]:
    """The batches that are whole. What is damaged is added to ``damages``, never read as data."""
    journal = path.with_suffix(".crc").read_bytes()
    data = pa.memory_map(str(path)).read_buffer() if path.stat().st_size else pa.py_buffer(b"")
    for offset, size, checksum, rows in ENTRY.iter_unpack(journal[: len(journal) // ENTRY.size * ENTRY.size]):
        message = data[offset : offset + size] if offset + size <= len(data) else None
        if message is None or crc32(message) != checksum:
            damages.append(Damage(path, offset, rows, "damaged" if message else "cut off"))
        elif rows:
            yield pa.ipc.read_record_batch(message, schema)
