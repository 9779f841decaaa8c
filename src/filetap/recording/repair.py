"""Repairs a recording whose recorder was killed: the rest is sealed, and noted in the metadata.

Separate from reading, which changes nothing: opening a recording begins here.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from filetap.core.clock import utc
from filetap.recording import checksum_index
from filetap.recording.checksum_index import Damage
from filetap.recording.format import LOCK, TABLES, VERSION, Metadata, directory, parsed, read_metadata, segment, write_metadata
from filetap.recording.progress import Begin, Count, no_progress

KILLED: Final = "the recording was not closed: filetap was killed, and events it had not written by then are lost"


class Repair:
    """The state of a recording when it is opened."""

    def __init__(self, folder: Path, begin: Begin = no_progress) -> None:
        self._begin = begin
        self.metadata = read_metadata(folder)
        self.live = False
        """Another process records or repairs it."""
        self.note = ""
        """What was done, or why it could not be."""
        self.damages: list[Damage] = []
        """Damaged parts, which are now in the metadata's notes."""
        if self.metadata.ended is None or unsealed(folder):
            self._try(folder)

    def _try(self, folder: Path) -> None:
        import pyarrow as pa  # slow to import, and not needed for a closed recording

        from filetap.recording import seal

        try:
            lock = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            lock = -1
        except OSError as error:
            self.note = f"{self._left(folder)} and cannot be repaired ({error.strerror}); reading what is there"
            return
        try:
            if lock >= 0:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.note = self._repair(folder)
        except BlockingIOError:
            self.live = True
        except (OSError, pa.ArrowException) as error:
            self.note = f"{self._left(folder)} and cannot be repaired ({seal.reason(error)}); reading what is there"
        finally:
            if lock >= 0:
                os.close(lock)

    def _left(self, folder: Path) -> str:
        """Return the problem. After a full disk, a closed recording may be unsealed."""
        return f"{folder} was not {'closed' if self.metadata.ended is None else 'sealed'}"

    def _repair(self, folder: Path) -> str:
        """Repair, once the lock is held; another process may have done it meanwhile."""
        from filetap.recording import seal, sealer

        metadata, last, problem = read_metadata(folder), newest(folder), self._left(folder)
        if metadata.form > parsed(VERSION):
            return f"{problem}, and it cannot be repaired because a newer filetap recorded it; reading what is there"
        before = metadata.ended, len(metadata.segments)
        for number in gone(folder, metadata) | unbegun(folder):
            sealer.remove(folder, number)
        known = {entry.number for entry in metadata.segments}
        left = sorted(unsealed(folder) | numbers(folder) - known)
        count = Count(sum(checksum_index.counted(segment(folder, "events", number, "crc")) for number in left))
        self._begin("repairing", count.share)
        for number in left:
            entry = seal.seal(folder, number, metadata, self.damages, progress=count.add)
            metadata.segments = sorted([*(old for old in metadata.segments if old.number != number), entry], key=lambda old: old.number)
        if metadata.ended is None:
            metadata.ended = utc(last)
            metadata.notes.append(KILLED)
        metadata.notes += [str(damage) for damage in self.damages]
        self.metadata = metadata
        if before == (metadata.ended, len(metadata.segments)):
            return ""
        write_metadata(folder, metadata)
        return f"{problem}: repaired, {sum(entry.events for entry in metadata.segments)} events can be read"


def unsealed(folder: Path) -> set[int]:
    """Return the segments that have a stream."""
    return listed(folder, ".arrow")


def numbers(folder: Path) -> set[int]:
    """Return all segments that exist."""
    return listed(folder, ".parquet") | unsealed(folder)


def listed(folder: Path, suffix: str) -> set[int]:
    """Return the segments with such a file. OSError: an unreadable folder is not an empty one."""
    found: set[int] = set()
    for name in TABLES:
        with suppress(FileNotFoundError):
            stems = [file.removesuffix(suffix) for file in os.listdir(directory(folder, name)) if file.endswith(suffix)]
            found |= {int(stem) for stem in stems if stem.isdecimal()}
    return found


def gone(folder: Path, metadata: Metadata) -> set[int]:
    """Return the segments that were being deleted."""
    return {number for number in numbers(folder) if number < metadata.first}


def unbegun(folder: Path) -> set[int]:
    """Return the last segment, if the process was killed while creating it: it has no row, and not all of its files."""
    from filetap.recording import stream

    number = max(numbers(folder), default=0)
    sealed = any(segment(folder, name, number, "parquet").exists() for name in TABLES)
    rows = any(checksum_index.counted(segment(folder, name, number, "crc")) for name in TABLES)
    bare = all(stream.is_bare(segment(folder, name, number, "arrow")) for name in TABLES)
    return {number} if number and bare and not (sealed or rows) else set()


def newest(folder: Path) -> float:
    """Return when anything was last written, seconds since 1970."""
    times = [folder.stat().st_mtime]
    for name in TABLES:
        for path in directory(folder, name).glob("*.crc"):
            with suppress(FileNotFoundError):
                times.append(path.stat().st_mtime)
    return max(times[1:] or times)
