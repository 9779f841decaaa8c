"""Lines written whole into a file, pipe or terminal: what the text formats have in common.

Separate, because a format only lays out lines; here is what happens when the reader is slow, the disk is full, or the run ends.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, Protocol

import numpy as np

from filetap.core.batch import Batch
from filetap.core.sink import Sink
from filetap.core.statistics import Statistics
from filetap.render.strings import Strings, offsets


class RawFile(Protocol):
    """A binary file opened without a buffer, so that accepted bytes are written."""

    def write(self, data: memoryview, /) -> int | None: ...

    def fileno(self) -> int: ...


def waits(file: RawFile) -> bool:
    """Return whether a write may have to wait for a reader."""
    try:
        return not stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, AttributeError):  # io.UnsupportedOperation: a file in memory
        return False


class Writeback:
    """Writes a growing file to disk in windows, and releases its pages, so that a long trace does not push the files it
    observes out of the page cache. Writing into pages just released is also two to five times cheaper than into new ones
    (measured).

    It runs in a thread, because a slow disk may block it; then writing continues without it.
    """

    WINDOW: Final = 64 << 20

    def __init__(self, file: RawFile) -> None:
        self._file = file
        self._begun = self._ended = 0
        self._thread: threading.Thread | None = None

    def advance(self, count: int) -> None:
        """Count bytes added to the file."""
        self._ended += count
        if self._ended - self._begun < self.WINDOW or (self._thread and self._thread.is_alive()):
            return
        self._begun = self._ended
        self._thread = threading.Thread(target=self._drop, args=(os.dup(self._file.fileno()),), daemon=True)
        self._thread.start()

    @staticmethod
    def _drop(fd: int) -> None:
        """Start writing dirty pages and drop clean ones, which are mostly those of the window before (fadvise64(2))."""
        with suppress(OSError):  # A pipe has no pages.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


class LineSink(Sink):
    """Writes whole lines into a raw file, which the caller opens and closes."""

    PATIENCE: Final = 1.0
    """Seconds."""

    def __init__(self, file: RawFile) -> None:
        self._file = file
        self._layout = ThreadPoolExecutor(1, "layout")
        self._held: list[Strings] = []
        self._waits = waits(file)
        self._writeback = None if self._waits else Writeback(file)
        self.draining = False
        """The run is to end: do not wait for a slow reader any longer."""
        self.written = 0
        """Events whose line is completely in the file."""
        self._failed = False

    def lines(self, batch: Batch) -> Iterator[Strings]:
        """Return the batch as lines, in parts that Arrow can hold."""
        raise NotImplementedError

    def write(self, batch: Batch) -> None:
        """Lay this batch out while the previous one is written: both are memory copies without the interpreter lock."""
        following = self._layout.submit(list, self.lines(batch))
        try:
            self.flush()
        finally:
            self._held = following.result()

    def flush(self) -> None:
        """Write the buffered batch."""
        held, self._held = self._held, []
        for lines in held:
            self._put(lines)

    def pending(self, batch: Batch) -> None:
        """Write lines that do not count as events, after those that do."""
        self.flush()
        for lines in self.lines(batch):
            self._put(lines, events=False)

    def finish(self, statistics: Statistics | None = None) -> None:
        """Write the rest, and stop the threads. The statistics are not written here."""
        self._layout.shutdown()
        if not self._failed:
            self.flush()

    def abort(self, reason: str) -> None:
        """Stop the threads."""
        self._layout.shutdown()

    def _put(self, lines: Strings, events: bool = True) -> None:
        """Write lines. After OSError all lines that fit are in the file, and the start of the next one is removed if
        possible."""
        first, ends = int(offsets(lines)[0]), offsets(lines)[1:]
        data = memoryview(lines.buffers()[2])[first : int(ends[-1])]
        done = 0
        try:
            while done < len(data):
                done += self._some(data[done:])
        except OSError:
            self._failed = True
            complete = int(np.searchsorted(ends, first + done, "right"))
            self.written += complete * events
            self._take_back(first + done - int(ends[complete - 1] if complete else first))
            raise
        self.written += len(ends) * events
        if self._writeback:
            self._writeback.advance(len(data))

    def _some(self, data: memoryview) -> int:
        """Write at most what a pipe or terminal accepts without blocking, so that a signal is handled while the other end
        does not read."""
        if self._waits:
            self._await_room()
            data = data[: select.PIPE_BUF]
        return self._file.write(data) or 0

    def _await_room(self) -> None:
        """Wait until there is room; when the run is to end, for PATIENCE more."""
        poll = select.poll()
        poll.register(self._file.fileno(), select.POLLOUT)
        waited = 0.0
        while not poll.poll(100):
            waited += 0.1 * self.draining
            if waited > self.PATIENCE:
                raise OSError(errno.EAGAIN, "it is full and not read")

    def _take_back(self, count: int) -> None:
        """Remove bytes only from a regular file that ends with our own."""
        with suppress(OSError):
            fd = self._file.fileno()
            end, status = os.lseek(fd, 0, os.SEEK_CUR), os.fstat(fd)
            if count and stat.S_ISREG(status.st_mode) and status.st_size == end:
                os.ftruncate(fd, end - count)
                os.lseek(fd, end - count, os.SEEK_SET)
