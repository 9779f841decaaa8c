"""Output destinations: files that are created or, with --force, overwritten, and the sinks that write events."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO
from typing import IO, TYPE_CHECKING, Any, Final

from filetap.cli.messages import log_message
from filetap.core import descriptors
from filetap.core.errors import FiletapError, UsageError

if TYPE_CHECKING:
    from filetap.capture.signals import Stop
    from filetap.core.sink import Sink
    from filetap.core.zone import Zone

OTHER_COLUMNS: Final = 80
"""Characters of the table before the path."""
LEAST_WIDTH: Final = 28
"""Of a column of ancestors or arguments."""
STREAMS: Final = {1: "stdout", 2: "stderr"}
READER_INTERVAL: Final = 0.05
"""Seconds between two attempts to open a FIFO that nothing reads."""


class OutputFile(FileIO):
    """The FILE of an option, unbuffered. An older file is truncated at the first write. Raises UsageError, FiletapError."""

    def __init__(self, path: str, force: bool, stop: Stop | None = None) -> None:
        """``stop``: ends waiting for the reader of a FIFO."""
        if os.path.isdir(path) or not path:
            raise UsageError(f"{path} is a directory: give the name of a file" if path else "the name of an output is empty")
        made, stream = not os.path.lexists(path), _is_stream(path)
        try:
            fd = _open_stream(path, stop) if stream else _open_file(path, force)
        except FileExistsError:
            raise UsageError(f"{path} exists: give --force to overwrite it") from None
        except OSError as error:
            descriptors.check(error.errno or 0)
            failure = FiletapError(f"{path}: {error.strerror}")
            failure.status = 128 + stop.number if stop and stop.number else failure.status
            raise failure from None
        super().__init__(fd, "wb")
        self._path, self._made, self._old = path, made, not made and not stream
        self.is_stream = stream

    def write(self, data: Any, /) -> int:
        self.empty()
        return super().write(data)

    def empty(self) -> None:
        """Truncate an older file, once: there is new output, even if it is empty."""
        if self._old:
            self._old = False
            with suppress(OSError):  # a block device
                os.ftruncate(self.fileno(), 0)

    def discard(self) -> None:
        """Remove a new file to which nothing was written: it would make the next run fail."""
        if self._made:
            with suppress(OSError):
                os.unlink(self._path)


def _open_file(path: str, force: bool) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (0 if force else os.O_EXCL), 0o644)


def _is_stream(path: str) -> bool:
    """Return whether nothing is overwritten there: a character device, a FIFO, a socket, or one of our own standard streams."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or _own_stream(path) is not None


def _open_stream(path: str, stop: Stop | None) -> int:
    own = _own_stream(path)
    if own is not None:
        return os.dup(own)
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC
    if not stop or not stat.S_ISFIFO(os.stat(path).st_mode):
        return os.open(path, flags)
    return _open_fifo(path, flags, stop)


def _open_fifo(path: str, flags: int, stop: Stop) -> int:
    """Wait until somebody reads the FIFO: open(2) would not be ended by the signals that end a run."""
    waiting = False
    while not stop.number:
        try:
            fd = os.open(path, flags | os.O_NONBLOCK)
            os.set_blocking(fd, True)
            return fd
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        if not waiting:
            log_message(f"waiting for a reader of {path}")
        waiting = True
        time.sleep(READER_INTERVAL)
    raise InterruptedError(errno.EINTR, "nothing reads it")


def check_distinct(streams: Mapping[str, IO[bytes]]) -> None:
    """Raise UsageError if two outputs are one file, by another name or because a shell has redirected standard output there:
    they would overwrite each other. ``streams``: by the names for the message."""
    opened = {name: stream for name, stream in streams.items() if isinstance(stream, OutputFile) and not stream.is_stream}
    known: dict[tuple[int, int], str] = {}
    for name in (name for name in streams if name not in opened):
        _note(known, name, streams[name])
    for name, own in (("standard output", sys.stdout), ("standard error", sys.stderr)):
        if own and stat.S_ISREG(os.fstat(own.fileno()).st_mode):
            known.setdefault(_place(own), name)
    for name, stream in opened.items():
        _note(known, name, stream)


def _note(known: dict[tuple[int, int], str], name: str, stream: IO[Any]) -> None:
    other = known.setdefault(_place(stream), name)
    if other != name:
        raise UsageError(f"{name} is the same file as {other}: give each output a file of its own")


def _place(stream: IO[Any]) -> tuple[int, int]:
    """Return the device and inode."""
    found = os.fstat(stream.fileno())
    return found.st_dev, found.st_ino


def _own_stream(path: str) -> int | None:
    """Return the standard stream that a name like /dev/stderr means. Opening it again would write a file from its start, and
    fail for a socket."""
    known = {f"{folder}/{name}": fd for fd in (1, 2) for folder, name in (("/dev", STREAMS[fd]), ("/dev/fd", fd), ("/proc/self/fd", fd))}
    return known.get(os.path.normpath(path))


@contextmanager
def destination(form: str, output: str | None, force: bool) -> Iterator[IO[bytes]]:
    """Yield the stream for an answer: a new file, or standard output. An incomplete file is removed."""
    if output is None:
        yield _standard_output(form)
        return
    file = OutputFile(output, force)
    try:
        with BufferedWriter(file) as stream:
            yield stream
            file.empty()
    except OSError as error:
        file.discard()
        raise FiletapError(f"{output}: {error.strerror}") from None
    except BaseException:
        file.discard()
        raise


def _standard_output(form: str) -> IO[bytes]:
    if sys.stdout is None:
        raise FiletapError("standard output is closed: give -o FILE")
    if form == "parquet" and sys.stdout.isatty():
        raise UsageError("cannot write Parquet to a terminal: give -o FILE")
    return sys.stdout.buffer


def standard_stream(name: str) -> IO[bytes]:
    """Return standard "output" or "error", unbuffered. Raise FiletapError if it is closed."""
    stream = sys.stderr if name == "error" else sys.stdout
    if stream is None:
        raise FiletapError(f"standard {name} is closed: give -o FILE")
    return open(stream.fileno(), "wb", buffering=0, closefd=False)


def make_sink(form: str, stream: IO[bytes], zone: Zone, *, ancestors: bool = False, args: bool = False) -> Sink:
    """Return the sink for ``-f``. ``zone``: of the table's times. ``ancestors``, ``args``: show those of processes (JSON has
    arguments wherever they are known)."""
    if form == "none":
        from filetap.sinks.count import CountSink

        return CountSink()
    if form == "json":
        from filetap.sinks.ndjson import NdjsonSink

        return NdjsonSink(stream, ancestors)
    from filetap.sinks.table import TableSink

    colour = stream.isatty() and "NO_COLOR" not in os.environ
    width = width_of_column(stream, ancestors + args)
    return TableSink(stream, colour, ancestors=width if ancestors else None, args=width if args else None, zone=zone)


def width_of_column(stream: IO[bytes], count: int) -> int:
    """Return the width of each of ``count`` columns that share half of what other columns leave of a terminal, so that the path
    has room; 0 elsewhere: nothing is cut."""
    if not count or not stream.isatty():
        return 0
    return max(LEAST_WIDTH, (os.get_terminal_size(stream.fileno()).columns - OTHER_COLUMNS) // 2 // count)
