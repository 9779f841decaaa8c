"""Recording: writes batches to the segments of a recording's folder, each segment complete in itself.

Separate from the bytes of streams and from sealing, which runs in a worker thread. A segment has all files and tasks that its
events refer to, so that old ones can be deleted.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from filetap.core.batch import Batch, File, Overflow, Task
from filetap.core.clock import utc
from filetap.core.errors import FiletapError, UsageError
from filetap.core.sink import Beginning, Sink
from filetap.core.statistics import Statistics
from filetap.recording import tables
from filetap.recording.format import LOCK, METADATA, TABLES, Metadata, segment, write_metadata
from filetap.recording.retention import Limits
from filetap.recording.sealer import Sealer
from filetap.recording.stream import StreamWriter
from filetap.render.columns import encode

NAMED: Final = 1 << 18
"""The maximum number of files and tasks of a segment: the set of them is kept in memory."""
RESERVE: Final = 64 << 10
JUMP: Final = 1_000_000
"""ns by which a clock has to change to be recorded again: its measurement error is at most some hundred."""


class Segment:
    """The files of one segment, and the set of files and tasks it has."""

    def __init__(self, folder: Path, number: int, metadata: Metadata) -> None:
        self.number, self._metadata, self.began = number, metadata, time.monotonic()
        self._streams = {name: StreamWriter(segment(folder, name, number, "arrow"), tables.RECORDED_SCHEMAS[name]) for name in TABLES}
        self._files: set[int] = {0}
        self._tasks: set[int] = {0}

    @property
    def rows(self) -> int:
        return self._streams["events"].rows

    def is_full(self, limits: Limits) -> bool:
        size = sum(stream.size for stream in self._streams.values())
        many = self.rows >= limits.rows or len(self._files) + len(self._tasks) >= NAMED
        return many or size >= limits.bytes or time.monotonic() - self.began >= limits.seconds

    def write(self, events: pa.RecordBatch, files: Mapping[int, File], tasks: Mapping[int, Task], table: str = "events") -> None:
        """Write RECORDED; files and tasks first, so that no event is on disk without its file."""
        named = [events.column(name).to_numpy() for name in ("file", "target")]
        self._define(new(named, self._files, files), new([events.column("task").to_numpy()], self._tasks, tasks))
        self._streams[table].write(events)

    def _define(self, files: list[File], tasks: list[Task]) -> None:
        if files:
            self._put("files", tables.file_table(files, self._metadata))
        if tasks:
            self._put("tasks", tables.task_table([*self._ancestors(tasks), *tasks], self._metadata))

    def _ancestors(self, tasks: list[Task]) -> list[Task]:
        """Return the ancestors of these tasks that the segment does not have yet."""
        above = {process.id: process for task in tasks for process in task.ancestors if process.id not in self._tasks}
        self._tasks.update(above)
        return list(above.values())

    def _put(self, name: str, rows: pa.RecordBatch) -> None:
        schema = tables.RECORDED_SCHEMAS[name]
        self._streams[name].write(pa.record_batch([rows.column(field.name).cast(field.type) for field in schema], schema=schema))

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        files, tasks = (np.array([getattr(overflow, name) for overflow in overflows], np.uint32) for name in ("file", "task"))
        self._define(new([files], self._files, batch.files), new([tasks], self._tasks, batch.tasks))
        self._put("aggregated", tables.overflow_table(overflows, batch.realtime, self._metadata))

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()


def new(ids: Sequence[Any], known: set[int], items: Mapping[int, Any]) -> list[Any]:
    """Return the items that occur for the first time."""
    distinct = {number for column in ids for number in encode(column)[0].tolist()} - known
    known |= distinct
    return [items[number] for number in distinct if number in items]


def no_progress(progress: Iterator[tuple[int, int]]) -> None:
    """Run to its end without output."""
    for _ in progress:
        pass


Shown = Callable[[Iterator[tuple[int, int]]], None]
"""Shows the progress of sealing, until it is done."""


class TraceSink(Sink):
    """A sink: the folder of a recording, from its first batch to its last sealed segment."""

    def __init__(
        self, folder: Path, metadata: Metadata, limits: Limits | None = None, force: bool = False, shown: Shown = no_progress
    ) -> None:
        self.folder, self.metadata, self.written = folder, metadata, 0
        """``written``: events that are in the file."""
        self._limits, self._shown = limits or Limits(), shown
        self._begun = False
        self._replaced: Path | None = None
        try:
            self._replaced = set_aside(folder) if force and os.path.lexists(folder) else None
            self._lock = make_folder(folder, metadata)
            self._segment = Segment(folder, 1, metadata)
        except OSError as error:
            self._put_back()
            raise FiletapError(f"{folder}: {error.strerror}") from None
        self._sealer = Sealer(folder, metadata, self._limits.keep)

    @property
    def failure(self) -> OSError | None:
        """Return why a part of it is not sealed."""
        return self._sealer.failure

    def begin(self, beginning: Beginning) -> None:
        """Start, once everything is attached: the recording that is replaced is removed."""
        self._begun = True
        self.metadata.hooks, self.metadata.notes = dict(beginning.hooks), list(beginning.notes)
        with suppress(OSError):
            write_metadata(self.folder, self.metadata)
        if self._replaced:
            shutil.rmtree(self._replaced, ignore_errors=True)

    def write(self, batch: Batch) -> None:
        if len(batch.events):
            self.note_clock(int(batch.events["time"][0]), batch.realtime)
            self.take(tables.recorded(batch), batch.files, batch.tasks)

    def note_clock(self, time: int, realtime: int) -> None:
        clocks = self.metadata.clocks
        if not clocks or abs(clocks[-1][1] - realtime) >= JUMP:
            clocks.append((time, realtime))

    def take(self, events: pa.RecordBatch, files: Mapping[int, File], tasks: Mapping[int, Task]) -> None:
        """Write RECORDED, with its files and tasks. OSError names the folder, whichever file of it failed."""
        try:
            self._segment.write(events, files, tasks)
            self.written += events.num_rows
            if self._segment.is_full(self._limits):
                self._turn()
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fspath(self.folder)) from None

    def _turn(self) -> None:
        """Begin the next segment: this one is full."""
        following = Segment(self.folder, self._segment.number + 1, self.metadata)
        self._close_segment()
        self._segment = following

    def _close_segment(self) -> None:
        self._segment.close()
        self._sealer.add(self._segment.number, self._segment.rows)

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        self._segment.aggregated(overflows, batch)

    def pending(self, batch: Batch) -> None:
        self.take_pending(tables.recorded(batch), batch.files, batch.tasks)

    def take_pending(self, calls: pa.RecordBatch, files: Mapping[int, File], tasks: Mapping[int, Task]) -> None:
        """Do the same as ``take`` for pending calls."""
        self._segment.write(calls, files, tasks, "pending")

    def finish(self, statistics: Statistics | None = None) -> None:
        """Seal the rest, with the statistics."""
        if statistics:
            self.metadata.settle(statistics)
        try:
            self.close()
        except OSError as error:
            why = error.strerror or str(error)
            raise FiletapError(f"{self.folder} could not be finished ({why}); the part already written can be read") from None

    def abort(self, reason: str) -> None:
        """Seal what there is; remove a recording that was never begun."""
        if self._begun:
            self.metadata.notes.append(reason)
            self.close()
        else:
            self._discard()

    def close(self) -> None:
        """Seal the rest. OSError: sealing failed, or writing the metadata did; what is on disk can be read."""
        self._close_segment()
        self._shown(self._sealer.finish())
        self.metadata.ended = utc(time.time())
        self.metadata.notes += [str(damage) for damage in self._sealer.damages]
        try:
            with suppress(OSError):
                os.ftruncate(self._lock, 0)
            write_metadata(self.folder, self.metadata)
        finally:
            os.close(self._lock)
        if self.failure:
            raise self.failure

    def _discard(self) -> None:
        self._close_segment()
        no_progress(self._sealer.finish())
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
        self._put_back()

    def _put_back(self) -> None:
        if self._replaced:
            self._replaced.rename(self.folder)


def make_folder(folder: Path, metadata: Metadata) -> int:
    """Create a recording without segments: the folder is visible only when it is complete. Return the lock, held."""
    if os.path.lexists(folder):
        raise UsageError(f"{folder} exists: give --force to replace it if it is a recording")
    made = unused(lambda number: folder.with_name(f".{folder.name}.{number}"))
    made.mkdir()
    try:
        lock = os.open(made / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.posix_fallocate(lock, 0, RESERVE)
        for name in TABLES:
            (made / name).mkdir()
        write_metadata(made, metadata)
        made.rename(folder)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return lock


def set_aside(folder: Path) -> Path:
    """Rename a recording that is to be replaced, until its replacement has begun."""
    check_replaceable(folder)
    return folder.rename(unused(lambda number: folder.with_stem(f"{folder.stem}-replaced-{number}")))


def unused(name: Callable[[int], Path]) -> Path:
    """Return a path that does not exist. In another container a process has the same number, and one that was killed may have
    left it."""
    return next(path for path in map(name, count(os.getpid())) if not os.path.lexists(path))


def check_replaceable(folder: Path) -> None:
    """Raise an error unless this is a recording, and no process is recording it."""
    if not (folder / METADATA).is_file() or folder.is_symlink():
        raise UsageError(f"{folder} is not a recording: --force does not replace it")
    with suppress(FileNotFoundError), open(folder / LOCK, "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder} is still being recorded: --force does not replace it") from None
