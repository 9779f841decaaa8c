"""A table while it is written: an Arrow IPC stream, and a checksum index with the CRC of each message.

Separate, because only this module handles what a kill leaves behind: messages listed in the checksum index are intact or
damaged, others were being written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

import pyarrow as pa

from filetap.recording.checksum_index import Damage, Entry, entries, sealed, whole

END: Final = b"\xff\xff\xff\xff\0\0\0\0"
"""End of an Arrow IPC stream."""

OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
"""Compressing costs less than writing ten times as much into the page cache (docs/adr/0017)."""


class StreamWriter:
    """Writes ``path`` and its checksum index. OSError when there is no room; what was written before stays readable."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._message = Message()
        self._ipc = pa.ipc.new_stream(self._message, schema, options=OPTIONS)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o644)
        self._index = os.open(path.with_suffix(".crc"), flags, 0o644)
        self.size = 0
        """Bytes written; ``rows``: rows written."""
        self.rows = 0
        self._entries = 0
        self._ipc.write_batch(pa.RecordBatch.from_pylist([], schema))
        self._message.take()  # Arrow writes the schema before the first batch
        self._put(schema.serialize().to_pybytes(), 0)

    def write(self, batch: pa.RecordBatch) -> None:
        self._ipc.write_batch(batch)
        self._put(self._message.take(), batch.num_rows)
        self.rows += batch.num_rows

    def _put(self, message: bytes, rows: int) -> None:
        view = memoryview(message)
        entry = memoryview(sealed(Entry(self.size, len(view), crc32(view), rows)))
        _write(self._fd, view, self.size)
        _write(self._index, entry, self._entries)
        if not os.fstat(self._fd).st_nlink:
            raise OSError(errno.ENOENT, "it was deleted")
        self.size += len(view)
        self._entries += len(entry)

    def close(self) -> None:
        """Write the stream's end, if there is room for it."""
        with suppress(OSError):
            for fd, size in ((self._fd, self.size), (self._index, self._entries)):
                os.ftruncate(fd, size)
            _write(self._fd, memoryview(END), self.size)
        for fd in (self._fd, self._index):
            os.close(fd)


class Message:
    """The bytes that Arrow writes of one batch, in one piece: implements the part of a file that Arrow needs."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken

    def flush(self) -> None:
        """Do nothing: no output is buffered."""

    def tell(self) -> int:
        return 0

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def _write(fd: int, data: memoryview, at: int) -> None:
    while data:
        count = os.pwrite(fd, data, at)
        data, at = data[count:], at + count


def is_bare(path: Path) -> bool:
    """Return whether it is empty, or has only its schema."""
    if not path.exists():
        return True
    with pa.OSFile(os.fsencode(path), "rb") as source:
        try:
            pa.ipc.read_message(source)
        except (pa.ArrowInvalid, EOFError):
            return True
        return bool(source.tell() >= source.size())


def read(path: Path, known: pa.Schema | None, damages: list[Damage], live: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield the intact batches, in the columns of the stream's first message. ``known``: the schema, if a stream of its
    version has these columns and no others. Damaged parts are added to ``damages``, never read as data. ``live``: it grows."""
    with open(path, "rb", buffering=0) as stream:
        try:
            index = list(entries(path.with_suffix(".crc"), damages))
        except FileNotFoundError:
            if live and not path.exists():
                raise  # it was sealed in between
            if os.fstat(stream.fileno()).st_size:
                damages.append(Damage(path, 0, None, "its checksum file (.crc) is missing"))
            return
        schema = known
        for entry in filter(None, index):
            if (message := whole(stream.fileno(), path, entry, damages)) is None:
                continue
            if not entry.offset:
                schema = pa.ipc.read_schema(pa.py_buffer(message))
            elif not entry.rows:
                continue
            elif schema:
                yield pa.ipc.read_record_batch(pa.py_buffer(message), schema)
            else:
                damages.append(Damage(path, entry.offset, entry.rows, "its schema message is damaged"))
        if not live:
            _look_behind(stream.fileno(), path, index, damages)


def _look_behind(fd: int, path: Path, index: Sequence[Entry | None], damages: list[Damage]) -> None:
    """Check that only the stream's end follows the last piece, or a piece that was being written when the recorder was
    killed."""
    if index and not index[-1]:
        return
    end = index[-1].offset + index[-1].size if index and index[-1] else 0
    rest = os.fstat(fd).st_size - end
    if rest > 0 and os.pread(fd, len(END) + 1, end) != END:
        damages.append(Damage(path, end, None, "an incomplete batch"))
