"""A trace opened: its metadata, its tables as Arrow, whatever state its segments are in.

Apart from writing. Nothing is changed on disk here but what repair.py does at the opening.
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
"""Threads that compare checksums; zlib's needs no interpreter."""


class Trace:
    """A folder that ``filetap trace -o NAME.tap`` wrote, or is writing. Raises TraceError when it is none."""

    def __init__(self, folder: Path, begin: Begin = no_progress) -> None:
        self.folder = folder
        with reading(folder):
            found = Repair(folder, begin)
        self.metadata: Metadata = found.metadata
        self.live = found.live
        """It is being written."""
        self.notes = [found.said] if found.said else []
        """What to say of it: it was repaired, or could not be."""
        self.damages: list[Damage] = found.damages
        """What could not be read so far."""
        self._whole: dict[Path, bool] = {}
        """Sealed files that were compared with their checksums: once is enough, for they do not change."""

    def _segments(self, name: str) -> Iterator[Path]:
        """The file of each segment, sealed or not."""
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
        """The Parquet files of a table that are whole: any program may read them."""
        return self.parts(name)[0]

    def parts(self, name: str) -> tuple[list[Path], Iterator[pa.RecordBatch]]:
        """These, and the rows of all else: of streams, and of files that are damaged, what is whole. Looked for at once, for
        what is a stream now may be sealed in a moment."""
        segments = list(self._segments(name))
        whole = self._unharmed([path for path in segments if path.suffix == ".parquet"])
        return whole, (batch for path in segments if path not in whole for batch in self._rows(path, name))

    def _unharmed(self, paths: list[Path]) -> list[Path]:
        self.compare([path for path in paths if path not in self._whole])
        return [path for path in paths if self._whole[path]]

    def compare(self, paths: list[Path], progress: Callable[[int], None] = lambda size: None) -> None:
        """Sealed files with their checksums."""
        with reading(self.folder), ThreadPoolExecutor(READERS) as readers:
            self._whole |= dict(
                zip(paths, readers.map(lambda path: segment_reader.is_whole(path, self.metadata, progress), paths), strict=True)
            )

    def whole(self, name: str) -> list[Path]:
        """The sealed files of a table that were whole when they were compared, the oldest first."""
        return sorted(path for path, whole in self._whole.items() if whole and table_of(path) == name)

    def made(self) -> list[Path]:
        """The sealed files of all tables."""
        return [path for name in TABLES for path in self._segments(name) if path.suffix == ".parquet"]

    def streams(self, name: str) -> list[Path]:
        """Its segments that are being written, or were when the recorder was killed."""
        return [path for path in self._segments(name) if path.suffix == ".arrow"]

    def rest(self, name: str) -> Iterator[pa.RecordBatch]:
        """The rows that are not in ``sealed``."""
        return self.parts(name)[1]

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """A table's rows in the columns of format.SCHEMAS."""
        for path in self._segments(name):
            yield from self._rows(path, name)
        self.damages[:] = dict.fromkeys(self.damages)

    def _rows(self, path: Path, name: str) -> Iterator[pa.RecordBatch]:
        """Between being looked for and being opened a stream may have been sealed, or its segment dropped."""
        try:
            with reading(path):
                yield from self._found(path, name)
        except FileNotFoundError:
            if not self.live:
                self.damages.append(Damage(path.with_suffix(".parquet"), 0, self._count(path, name), "missing"))

    def _found(self, path: Path, name: str) -> Iterator[pa.RecordBatch]:
        if path.suffix == ".arrow":
            from filetap.recording import seal  # a sealed trace is asked without it, and sooner

            try:
                yield from seal.rows(path, name, self.metadata, self.damages, self.live)
                return
            except FileNotFoundError:
                path = path.with_suffix(".parquet")
        from filetap.recording.schemas import SCHEMAS

        yield from segment_reader.read(path, self.metadata, SCHEMAS[name], self.damages)

    def _count(self, path: Path, name: str) -> int | None:
        """Rows that a missing file had."""
        counts = {entry.number: entry.events for entry in self.metadata.segments}
        return counts.get(int(path.stem)) if name == "events" else None

    def table(self, name: str) -> pa.Table:
        """One of events, files, tasks, aggregated, as a whole."""
        import pyarrow as pa

        from filetap.recording.schemas import SCHEMAS

        return pa.Table.from_batches(self.batches(name), SCHEMAS[name])


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What may not be read, or cannot, is named. FileNotFoundError stays one: it may be gone by right."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        from filetap.recording import seal

        raise TraceError(f"{error.filename or path}: {seal.reason(error)}") from None


def compare(traces: Sequence[Trace], begin: Begin) -> None:
    """All that is sealed of them with its checksums, which may be much: so that nobody waits for it later on."""
    paths = [trace.made() for trace in traces]
    count = Count(sum(_size(path) for made in paths for path in made))
    begin("comparing checksums", count.share)
    for trace, made in zip(traces, paths, strict=True):
        trace.compare(made, count.add)


def _size(path: Path) -> int:
    """Of a file that may have been dropped meanwhile."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
