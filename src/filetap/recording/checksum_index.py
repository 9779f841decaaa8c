"""What stands beside each file of a trace: where its pieces begin, and the CRC of each.

Apart, because it is the same of streams and of sealed files, and knows nothing of what is in a piece.
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
"""Of the checksum index: where a piece begins, its bytes, their CRC-32 (as zlib's), rows; behind it the CRC-32 of these 24 bytes."""
CHECK: Final = struct.Struct("<I")
PART: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Damage:
    """What could not be read: which file, where, how many rows, and why."""

    path: Path
    offset: int
    rows: int | None
    """None: nobody can say."""
    why: str

    def __str__(self) -> str:
        lost = "its rows are skipped" if self.rows is None else f"{self.rows} rows skipped"
        return f"{self.path}: {self.why} at byte {self.offset}: {lost}"


class Entry(NamedTuple):
    """Of a checksum index."""

    offset: int
    size: int
    checksum: int
    rows: int


def sealed(entry: Entry) -> bytes:
    """With the checksum that tells whether the entry itself is whole."""
    text = ENTRY.pack(*entry)
    return text + CHECK.pack(crc32(text))


def entries(path: Path, damages: list[Damage]) -> Iterator[Entry | None]:
    """A checksum index's entries. None: this one is damaged. What is less than an entry was under way."""
    text, step = path.read_bytes(), ENTRY.size + CHECK.size
    for at in range(0, len(text) // step * step, step):
        entry, check = text[at : at + ENTRY.size], text[at + ENTRY.size : at + step]
        if CHECK.pack(crc32(entry)) == check:
            yield Entry(*ENTRY.unpack(entry))
        else:
            damages.append(Damage(path, at, None, "damaged"))
            yield None


def counted(index: Path) -> int:
    """The rows that it names."""
    with suppress(FileNotFoundError):
        return sum(entry.rows for entry in entries(index, []) if entry)
    return 0


def whole(fd: int, path: Path, entry: Entry, damages: list[Damage]) -> bytes | None:
    """A piece, if it is as it was written."""
    piece = os.pread(fd, entry.size, entry.offset)
    if len(piece) == entry.size and crc32(piece) == entry.checksum:
        return piece
    damages.append(Damage(path, entry.offset, entry.rows, "damaged" if len(piece) == entry.size else "cut off"))
    return None


def crc(fd: int, offset: int, size: int) -> int:
    """Of a piece that may be large."""
    found = 0
    while size > 0 and (part := os.pread(fd, min(size, PART), offset)):
        found, offset, size = crc32(part, found), offset + len(part), size - len(part)
    return found if not size else -1
