"""The flight recorder: the last minute only in memory, written as a recording on request.

Separate from writer.py, which it uses to write. It holds batches as they are recorded, and the files and tasks they refer to;
the oldest are dropped first.
"""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from filetap.core.batch import DESCRIBED, Batch, File, Overflow, Task
from filetap.core.errors import FiletapError, UsageError
from filetap.core.sink import Beginning, Sink
from filetap.core.statistics import Statistics
from filetap.recording import tables
from filetap.recording.format import Metadata
from filetap.recording.writer import Shown, TraceSink, check_replaceable, no_progress

OVERHEAD: Final = 4096
"""Bytes of a batch in addition to its columns."""

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Held:
    """A batch."""

    taken: float
    realtime: tuple[int, int]
    """CLOCK_BOOTTIME, and the difference to CLOCK_REALTIME."""
    events: pa.RecordBatch
    files: tuple[int, ...]
    tasks: tuple[int, ...]


Snapshot = tuple[int, Metadata, list[Held], list[Held], dict[int, File], dict[int, Task]]
"""The number of events taken so far, and the data for a recording of them: the batches held, and pending calls."""


class Definitions:
    """The definitions that held batches refer to, as long as one of them does."""

    def __init__(self) -> None:
        self.items: dict[int, Any] = {}
        self._uses: Counter[int] = Counter()
        self.size = 0

    def use(self, ids: Sequence[int], known: Any) -> tuple[int, ...]:
        named = tuple(number for number in ids if number in self.items or number in known)
        for number in named:
            if number not in self.items:
                self.items[number] = known[number]
                self.size += size(self.items[number])
        self._uses.update(named)
        return named

    def release(self, ids: Sequence[int]) -> None:
        self._uses.subtract(ids)
        for number in ids:
            if not self._uses[number]:
                del self._uses[number]
                self.size -= size(self.items.pop(number))


def size(item: File | Task) -> int:
    """Return the approximate size in bytes."""
    names = (item.path, item.host_path) if isinstance(item, File) else (item.exe, item.cgroup_path, *(item.args or ()))
    return DESCRIBED + sum(map(len, names))


class FlightSink(Sink):
    """A sink that drops old batches."""

    def __init__(
        self,
        folder: Path,
        metadata: Metadata,
        held: tuple[float, int],
        force: bool = False,
        *,
        log_message: Log,
        shown: Shown = no_progress,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``held``: the seconds and bytes of events to keep."""
        self._folder, self._metadata, self._force, self._now = folder, metadata, force, now
        self._seconds, self._memory = held
        self._log_message, self._shown = log_message, shown
        self._check()
        self.written = 0
        """Events taken; ``dropped`` of them are gone."""
        self.dropped = 0
        self.dump_requested = False
        """Set by a signal: a recording is requested."""
        self._failed = False
        self._since = 0
        """Events taken by the time of the last recording."""
        self._held: deque[Held] = deque()
        self._files, self._tasks = Definitions(), Definitions()
        self._bytes = 0
        self._overflows: tuple[Sequence[Overflow], Batch] | None = None
        self._pending: deque[Held] = deque()
        """Pending calls of each listing."""
        self._listings_dropped = 0
        """The number of dropped calls of listings."""
        self._saved = self._saved_until = 0
        """Events that are part of a recording; events taken when the last of them was."""
        self._lock = threading.RLock()
        """Held while what is held changes: an outlet's thread writes, and the session's thread takes snapshots."""
        self._stopped: float | None = None
        self._writing: list[threading.Thread] = []

    def _check(self) -> None:
        """Check that a recording of that name can be written, as far as this is known now."""
        if self._folder.exists() and not self._force:
            raise UsageError(f"{self._folder} exists: give --force to replace it if it is a recording")
        if self._force and self._folder.exists():
            check_replaceable(self._folder)
        if not self._folder.parent.is_dir():
            raise FiletapError(f"{self._folder.parent}: no such directory")

    def begin(self, beginning: Beginning) -> None:
        """Start, once everything is attached: recordings that are replaced are removed."""
        self._metadata.hooks, self._metadata.notes = dict(beginning.hooks), list(beginning.notes)
        if self._force and self._folder.exists():
            check_replaceable(self._folder)
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def size(self) -> int:
        """Return the approximate bytes of memory held."""
        return self._bytes + self._files.size + self._tasks.size

    @property
    def kept(self) -> int:
        """Return how many events are in recordings, or held for the next one."""
        with self._lock:
            self._forget()
            return self._saved + self._unsaved

    @property
    def _unsaved(self) -> int:
        return self.written - max(self._saved_until, self.dropped)

    def write(self, batch: Batch) -> None:
        with self._lock:
            self._held.append(self._hold(batch))
            self.written += len(batch.events)
            self._forget()

    def pending(self, batch: Batch) -> None:
        with self._lock:
            self._pending.append(self._hold(batch))
            self._forget()

    def stop(self) -> None:
        """Stop: tracing is over. The last recording counts back from here, however long the rest takes."""
        self._stopped = self._now()

    def _hold(self, batch: Batch) -> Held:
        events = tables.recorded(batch)
        files = self._files.use(_ids(batch.events["file"], batch.ext["target"]), batch.files)
        tasks = self._tasks.use(_ids(batch.events["task"]), batch.tasks)
        self._bytes += events.nbytes + OVERHEAD
        return Held(self._now(), (int(batch.events["time"][0]), batch.realtime), events, files, tasks)

    def _release(self, held: Held) -> None:
        self._files.release(held.files)
        self._tasks.release(held.tasks)
        self._bytes -= held.events.nbytes + OVERHEAD

    def _forget(self) -> None:
        """Drop the oldest, until what is held is young and small enough."""
        since = (self._now() if self._stopped is None else self._stopped) - self._seconds
        while (kind := self._oldest()) and (kind[0].taken < since or self.size > self._memory):
            oldest = kind.popleft()
            self._release(oldest)
            if kind is self._held:
                self.dropped += oldest.events.num_rows
            else:
                self._listings_dropped += oldest.events.num_rows

    def _oldest(self) -> deque[Held]:
        """Return the events or the pending calls, whichever begin earlier; empty: nothing is held."""
        return min(filter(None, (self._held, self._pending)), key=lambda kind: kind[0].taken, default=self._held)

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        self._overflows = overflows, batch

    def is_due(self, failed: bool) -> bool:
        """Return whether a recording was requested, or the command has just failed."""
        due = self.dump_requested or (failed and not self._failed)
        self.dump_requested, self._failed = False, failed
        return due

    def dump(self, statistics: Statistics) -> None:
        """Write a recording of what is held now, while recording continues."""
        thread = threading.Thread(target=self._write_meanwhile, args=(self._snapshot(statistics),), name="flight")
        thread.start()
        self._writing = [*(one for one in self._writing if one.is_alive()), thread]

    def finish(self, statistics: Statistics | None = None) -> None:
        """Write the last recording, unless no event has arrived since the one before."""
        self._join()
        try:
            if self.written > self._since or not self._since:
                self._write(self._snapshot(statistics), self._shown)
        except OSError as error:
            raise FiletapError(self._unfinished(error)) from None

    def abort(self, reason: str) -> None:
        """Write nothing more."""
        self._join()

    def _join(self) -> None:
        for thread in self._writing:
            thread.join()

    def _snapshot(self, statistics: Statistics | None) -> Snapshot:
        with self._lock:
            return self._taken(statistics)

    def _taken(self, statistics: Statistics | None) -> Snapshot:
        self._forget()
        self._saved, self._saved_until = self._saved + self._unsaved, self.written
        metadata = replace(self._metadata)
        if statistics:
            metadata.settle(statistics)
        notes = [*metadata.notes, f"flight recorder: {self.dropped} earlier events were dropped"]
        if self._listings_dropped:
            notes.append(f"flight recorder: {self._listings_dropped} listed pending calls were dropped")
        own = replace(metadata, uuid=str(uuid.uuid4()), dropped=self.dropped, notes=notes, clocks=[], segments=[])
        return self.written, own, list(self._held), list(self._pending), dict(self._files.items), dict(self._tasks.items)

    def _write_meanwhile(self, snapshot: Snapshot) -> None:
        try:
            self._write(snapshot, no_progress)
        except OSError as error:
            self._log_message(f"flight recorder: {self._unfinished(error)}")
        except FiletapError as error:
            self._log_message(f"flight recorder: {error}")

    def _unfinished(self, error: OSError) -> str:
        return f"{self._folder} could not be finished ({error.strerror or error}); the part already written can be read"

    def _write(self, snapshot: Snapshot, shown: Shown) -> None:
        taken, metadata, held, pending, files, tasks = snapshot
        sink = TraceSink(self._free_name(), metadata, shown=shown)
        try:
            for batch in held:
                sink.note_clock(*batch.realtime)
                sink.take(batch.events, files, tasks)
            if self._overflows:
                sink.aggregated(*self._overflows)
            for calls in pending:
                sink.take_pending(calls.events, files, tasks)
        finally:
            if missing := sum(batch.events.num_rows for batch in held) - sink.written:
                metadata.dropped += missing
                metadata.notes.append(f"flight recorder: {missing} events did not fit in memory")
            sink.close()
        self._since = max(self._since, taken)
        self._log_message(f"flight recorder: {sink.written} events are in {sink.folder}")

    def _free_name(self) -> Path:
        """Return NAME.tap, NAME-2.tap, NAME-3.tap, ..., the first that does not exist."""
        number, name = 1, self._folder
        while name.exists():
            number += 1
            name = self._folder.with_stem(f"{self._folder.stem}-{number}")
        return name


def _ids(*columns: Any) -> list[int]:
    return [number for number in np.unique(np.concatenate(columns)).tolist() if number]
