"""Recording: batches into the segments of a trace's folder, each segment whole in itself.

Apart from the streams' bytes and from sealing, which goes on behind. A segment holds all files and tasks that its events
name, so that old ones can be dropped. Next: stream.py, seal.py.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from filetap.batch import Batch, File, Fold, Task
from filetap.enrich.columns import encode
from filetap.errors import FiletapError
from filetap.trace import seal, tables
from filetap.trace.format import LOCK, TABLES, Metadata, segment, write_metadata
from filetap.trace.stream import StreamWriter

ROWS: Final = 4 << 20
"""Events of a segment."""


class Segment:
    """One number's files, and which files and tasks it has."""

    def __init__(self, folder: Path, number: int, metadata: Metadata) -> None:
        self.number, self._metadata = number, metadata
        self._streams = {name: StreamWriter(segment(folder, name, number, "arrow"), tables.RECORDED_SCHEMAS[name]) for name in TABLES}
        self._files: set[int] = {0}
        self._tasks: set[int] = {0}

    @property
    def rows(self) -> int:
        return self._streams["events"].rows

    def write(self, batch: Batch) -> None:
        """What events name first, so that no event is on disk whose file is not."""
        files = [batch.events["file"], batch.more["target"]]
        self._define(_new(files, self._files, batch.files), _new([batch.events["task"]], self._tasks, batch.tasks))
        self._streams["events"].write(tables.recorded(batch))

    def _define(self, files: list[File], tasks: list[Task]) -> None:
        if files:
            self._put("files", tables.file_table(files, self._metadata))
        if tasks:
            self._put("tasks", tables.task_table(tasks, self._metadata))

    def _put(self, name: str, rows: pa.RecordBatch) -> None:
        schema = tables.RECORDED_SCHEMAS[name]
        self._streams[name].write(pa.record_batch([rows.column(field.name).cast(field.type) for field in schema], schema=schema))

    def folded(self, folds: Sequence[Fold], batch: Batch) -> None:
        files, tasks = (np.array([getattr(fold, name) for fold in folds], np.uint32) for name in ("file", "task"))
        self._define(_new([files], self._files, batch.files), _new([tasks], self._tasks, batch.tasks))
        self._put("folded", tables.fold_table(folds, batch.realtime, self._metadata))

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()


def _new(ids: Sequence[Any], known: set[int], items: Mapping[int, Any]) -> list[Any]:
    """What is named for the first time."""
    distinct = {number for column in ids for number in encode(column)[0].tolist()} - known
    known |= distinct
    return [items[number] for number in distinct if number in items]


class TraceSink:
    """A sink: the folder of a trace, from its first batch to its last segment sealed."""

    hurry = False

    def __init__(self, folder: Path, metadata: Metadata) -> None:
        self.folder, self.metadata, self.written = folder, metadata, 0
        self._make_folder()
        self._segment = Segment(folder, 1, metadata)

    def _make_folder(self) -> None:
        try:
            for name in TABLES:
                (self.folder / name).mkdir(parents=True)
            self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write_metadata(self.folder, self.metadata)
        except OSError as error:
            raise FiletapError(f"{self.folder}: {error.strerror}") from None

    def write(self, batch: Batch) -> None:
        self._segment.write(batch)
        self.written += len(batch.events)
        if self._segment.rows >= ROWS:
            self._turn()

    def _turn(self) -> None:
        """The segment is full: the next one begins."""
        self._segment.close()
        seal.seal(self.folder, self._segment.number, self.metadata)
        self._segment = Segment(self.folder, self._segment.number + 1, self.metadata)

    def flush(self) -> None:
        """Every batch is with the kernel already."""

    def folded(self, folds: Sequence[Fold], batch: Batch) -> None:
        self._segment.folded(folds, batch)

    def close(self) -> None:
        self._segment.close()
        seal.seal(self.folder, self._segment.number, self.metadata)
        os.close(self._lock)
