"""Opens a recording: its metadata and its tables as Arrow, whatever state its segments are in.

Separate from writing. Only repair.py changes anything on disk, when the recording is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filetap.recording import segment_reader
from filetap.recording.checksum_index import Damage
from filetap.recording.format import ADDED_TABLES, TABLES, Metadata, TraceError, segment, table_of
from filetap.recording.progress import Begin, Count, no_progress
from filetap.recording.repair import Repair, numbers

if TYPE_CHECKING:
    import pyarrow as pa

READERS: Final = 4
"""Threads that compare checksums; zlib releases the interpreter lock."""


class Trace:
    """A folder that ``filetap trace -o NAME.tap`` wrote, or is writing. Raise TraceError if it is none."""

    def __init__(self, folder: Path, begin: Begin = no_progress) -> None:
        self.folder = folder
        with reading(folder):
            found = Repair(folder, begin)
        self.metadata: Metadata = found.metadata
        self.live = found.live
        """It is being written."""
        self.notes = [found.note] if found.note else []
        """Notes on its state: it was repaired, or could not be."""
        self.damages: list[Damage] = found.damages
        """Parts that could not be read so far."""
        self._whole: dict[Path, bool] = {}
        """Sealed files that were compared with their checksums: once is enough, because they do not change."""

    def _segments(self, name: str) -> Iterator[Path]:
        """Yield the file of each segment, sealed or not."""
        if name in ADDED_TABLES and not (self.folder / name).is_dir():
            return
        with reading(self.folder):
            there = {number for number in numbers(self.folder) if number >= self.metadata.first}
            if not self.live:
                there |= {entry.number for entry in self.metadata.segments}
            for number in sorted(there):
                made = segment(self.folder, name, number, "parquet")
                yield made if made.exists() else made.with_suffix(".arrow")

    def sealed(self, name: str) -> list[Path]:
        """Return the intact Parquet files of a table: any program may read them."""
        return self.parts(name)[0]

    def parts(self, name: str) -> tuple[list[Path], Iterator[pa.RecordBatch]]:
        """Return these, and the rows of everything else: of streams, and the intact ones of damaged files. The list is made
        at once, because a stream may be sealed at any moment."""
        segments = list(self._segments(name))
        whole = self._unharmed([path for path in segments if path.suffix == ".parquet"])
        return whole, (batch for path in segments if path not in whole for batch in self._rows(path, name))

    def _unharmed(self, paths: list[Path]) -> list[Path]:
        self.compare([path for path in paths if path not in self._whole])
        return [path for path in paths if self._whole[path]]

    def compare(self, paths: list[Path], progress: Callable[[int], None] = lambda size: None) -> None:
        """Compare sealed files with their checksums."""
        with reading(self.folder), ThreadPoolExecutor(READERS) as readers:
            self._whole |= dict(
                zip(paths, readers.map(lambda path: segment_reader.is_whole(path, self.metadata, progress), paths), strict=True)
            )

    def whole(self, name: str) -> list[Path]:
        """Return the sealed files of a table that were intact when they were compared, the oldest first."""
        return sorted(path for path, whole in self._whole.items() if whole and table_of(path) == name)

    def made(self) -> list[Path]:
        """Return the sealed files of all tables."""
        return [path for name in TABLES for path in self._segments(name) if path.suffix == ".parquet"]

    def streams(self, name: str) -> list[Path]:
        """Return its segments that are being written, or were when the recorder was killed."""
        return [path for path in self._segments(name) if path.suffix == ".arrow"]

    def rest(self, name: str) -> Iterator[pa.RecordBatch]:
        """Return the rows that are not in ``sealed``."""
        return self.parts(name)[1]

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """Yield a table's rows in the columns of schemas.SCHEMAS."""
        for path in self._segments(name):
            yield from self._rows(path, name)
        self.damages[:] = dict.fromkeys(self.damages)

    def _rows(self, path: Path, name: str) -> Iterator[pa.RecordBatch]:
        """Yield rows. A stream may have been sealed, or its segment deleted, since it was listed."""
        try:
            with reading(path):
                yield from self._found(path, name)
        except FileNotFoundError:
            if not self.live:
                self.damages.append(Damage(path.with_suffix(".parquet"), 0, self._count(path, name), "missing"))

    def _found(self, path: Path, name: str) -> Iterator[pa.RecordBatch]:
        if path.suffix == ".arrow":
            from filetap.recording import seal  # slow to import, and not needed for a sealed recording

            try:
                yield from seal.rows(path, name, self.metadata, self.damages, self.live)
                return
            except FileNotFoundError:
                path = path.with_suffix(".parquet")
        from filetap.recording.schemas import SCHEMAS

        yield from segment_reader.read(path, self.metadata, SCHEMAS[name], self.damages)

    def _count(self, path: Path, name: str) -> int | None:
        """Return the number of rows of a missing file."""
        counts = {entry.number: entry.events for entry in self.metadata.segments}
        return counts.get(int(path.stem)) if name == "events" else None

    def table(self, name: str) -> pa.Table:
        """Return one of events, files, tasks, aggregated, as a whole."""
        import pyarrow as pa

        from filetap.recording.schemas import SCHEMAS

        return pa.Table.from_batches(self.batches(name), SCHEMAS[name])


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn permission and read errors into messages with the path. FileNotFoundError is passed on: the file may have been
    deleted as planned."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        from filetap.recording import seal

        raise TraceError(f"{error.filename or path}: {seal.reason(error)}") from None


def compare(traces: Sequence[Trace], begin: Begin) -> None:
    """Compare all sealed files with their checksums, which may take long: so that later reads do not have to wait."""
    paths = [trace.made() for trace in traces]
    count = Count(sum(_size(path) for made in paths for path in made))
    begin("comparing checksums", count.share)
    for trace, made in zip(traces, paths, strict=True):
        trace.compare(made, count.add)


def _size(path: Path) -> int:
    """Return the size of a file that may have been deleted meanwhile."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
