"""The checksum index of each file of a recording: the offset of its pieces, and the CRC of each.

Separate, because it is the same for streams and sealed files, and does not depend on the content of a piece.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

ENTRY: Final = struct.Struct("<QQII")
"""An entry of the checksum index: offset of a piece, its bytes, their CRC-32 (as zlib's), rows; then the CRC-32 of these 24
bytes."""
CHECK: Final = struct.Struct("<I")
PART: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Damage:
    """A part that could not be read: which file, where, how many rows, and why."""

    path: Path
    offset: int
    rows: int | None
    """None: not known."""
    why: str

    def __str__(self) -> str:
        lost = "its rows are skipped" if self.rows is None else f"{self.rows} rows skipped"
        return f"{self.path}: {self.why} at byte {self.offset}: {lost}"


class Entry(NamedTuple):
    """An entry of a checksum index."""

    offset: int
    size: int
    checksum: int
    rows: int


def sealed(entry: Entry) -> bytes:
    """Return the entry with a checksum of the entry itself."""
    text = ENTRY.pack(*entry)
    return text + CHECK.pack(crc32(text))


def entries(path: Path, damages: list[Damage]) -> Iterator[Entry | None]:
    """Yield a checksum index's entries. None: this one is damaged. An incomplete entry was still being written."""
    text, step = path.read_bytes(), ENTRY.size + CHECK.size
    for at in range(0, len(text) // step * step, step):
        entry, check = text[at : at + ENTRY.size], text[at + ENTRY.size : at + step]
        if CHECK.pack(crc32(entry)) == check:
            yield Entry(*ENTRY.unpack(entry))
        else:
            damages.append(Damage(path, at, None, "damaged"))
            yield None


def counted(index: Path) -> int:
    """Return the number of rows that it lists."""
    with suppress(FileNotFoundError):
        return sum(entry.rows for entry in entries(index, []) if entry)
    return 0


def whole(fd: int, path: Path, entry: Entry, damages: list[Damage]) -> bytes | None:
    """Return a piece, if it is as it was written."""
    piece = os.pread(fd, entry.size, entry.offset)
    if len(piece) == entry.size and crc32(piece) == entry.checksum:
        return piece
    damages.append(Damage(path, entry.offset, entry.rows, "damaged" if len(piece) == entry.size else "cut off"))
    return None


def crc(fd: int, offset: int, size: int) -> int:
    """Return the CRC of a piece that may be large."""
    found = 0
    while size > 0 and (part := os.pread(fd, min(size, PART), offset)):
        found, offset, size = crc32(part, found), offset + len(part), size - len(part)
    return found if not size else -1
