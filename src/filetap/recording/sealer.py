"""The worker thread that seals closed segments and deletes old ones during the recording.

A thread and not a process, which --all would trace at work. What it cannot seal stays readable as it is.
"""

from __future__ import annotations

import ctypes
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from filetap.recording import seal
from filetap.recording.checksum_index import Damage
from filetap.recording.format import TABLES, Metadata, directory, segment, write_metadata
from filetap.recording.retention import Keep

LOWEST: Final = 19
NAME: Final = "filetap-seal"
"""Name of the thread."""
TICK: Final = 1.0
"""Seconds between two searches for segments that are too old."""


@dataclass(slots=True)
class Closed:
    """A segment that is completely written."""

    number: int
    events: int
    closed: float
    """time.monotonic(), so that setting the wall clock deletes nothing."""


class Sealer:
    """Only the sealer changes ``metadata.segments`` and ``metadata.dropped`` while it works."""

    def __init__(self, folder: Path, metadata: Metadata, keep: Keep, now: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._metadata, self._keep, self._now = folder, metadata, keep, now
        self.failure: OSError | None = None
        """Why the rest is not sealed."""
        self.damages: list[Damage] = []
        self._segments: list[Closed] = []
        self._waiting: queue.SimpleQueue[Closed | None] = queue.SimpleQueue()
        self._total = self._taken = self._done = 0
        """Events of closed segments; of those that no longer wait; and of those that are sealed."""
        self._waited_for = False
        self._thread = threading.Thread(target=self._work, name="sealer", daemon=True)
        self._thread.start()

    def add(self, number: int, events: int) -> None:
        """Add a closed segment."""
        self._total += events
        self._waiting.put(Closed(number, events, self._now()))

    def finish(self) -> Iterator[tuple[int, int]]:
        """Wait until all is sealed; yield repeatedly the events done, and all events."""
        self._waiting.put(None)
        self._waited_for = True
        while self._thread.is_alive():
            self._thread.join(0.05)
            yield self._done, self._total

    def _work(self) -> None:
        with suppress(OSError):
            Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(NAME, encoding="ascii")
        while True:
            try:
                closed = self._waiting.get(timeout=None if self._keep.everything else TICK)
            except queue.Empty:
                self._drop_old()
                continue
            if closed is None:
                return
            self._segments.append(closed)
            self._taken += closed.events
            self._drop_old()
            if closed in self._segments:
                self._seal(closed)
                self._drop_old()

    def _seal(self, closed: Closed) -> None:
        if not self.failure:
            self.failure = self._try(closed)
            trim_memory()

    def _try(self, closed: Closed) -> OSError | None:
        """Return why it failed: a new error, because the first one holds files open."""
        try:
            entry = seal.seal(self._folder, closed.number, self._metadata, self.damages, progress=self._count, aside=self._aside)
            self._metadata.segments.append(entry)
            write_metadata(self._folder, self._metadata)
        except (OSError, pa.ArrowException) as error:
            code, text = getattr(error, "errno", None) or 0, seal.reason(error)
        else:
            return None
        return OSError(code, text)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Run at the lowest priority, unless another thread waits for the result. Only without the interpreter lock: a thread
        that holds it and is not scheduled makes the reader wait."""
        thread = threading.get_native_id()
        before = os.getpriority(os.PRIO_PROCESS, thread)
        try:
            if not self._waited_for:
                os.setpriority(os.PRIO_PROCESS, thread, LOWEST)
            yield
        finally:
            with suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, thread, before)

    def _count(self, rows: int) -> None:
        self._done += rows

    def _drop_old(self) -> None:
        """Delete the oldest whole segments, until the rest is young and small enough."""
        while self._segments and self._is_too_much(self._segments[0]):
            oldest = self._segments.pop(0)
            self._metadata.segments = [entry for entry in self._metadata.segments if entry.number != oldest.number]
            self._metadata.dropped += oldest.events
            self._metadata.first = oldest.number + 1
            with suppress(OSError):
                write_metadata(self._folder, self._metadata)
                remove(self._folder, oldest.number)

    def _is_too_much(self, oldest: Closed) -> bool:
        if self._now() - oldest.closed > self._keep.seconds:
            return True
        last = self._taken == self._total and not any(later.events for later in self._segments[1:])  # keep the last part
        return not last and self._keep.bytes < float("inf") and size(self._folder) > self._keep.bytes


def trim_memory() -> None:
    """Return freed memory that the C library still holds (malloc_trim(3)), if it can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def size(folder: Path) -> int:
    """Return the bytes of a recording on disk."""
    total = 0
    for name in TABLES:
        for path in directory(folder, name).glob("*"):
            with suppress(FileNotFoundError):
                total += path.stat().st_size
    return total


def remove(folder: Path, number: int) -> None:
    """Delete a segment: its events first, so that no event is left without its file."""
    for name in ("events", "aggregated", "pending", "files", "tasks"):
        for suffix in ("arrow", "crc", "parquet", "parquet.crc"):
            segment(folder, name, number, suffix).unlink(missing_ok=True)
