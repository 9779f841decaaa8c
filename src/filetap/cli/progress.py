"""Shown during long work: a progress bar on standard error, and handling of Ctrl-C.

Separate, because the worker does not know about the bar: a thread polls the progress.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Final, Self

PATIENCE: Final = 1.0
"""Seconds until it is shown; then it is redrawn 1 / STEP times a second."""
STEP: Final = 0.1
WIDTH: Final = 30
MOVING: Final = 3
"""Columns of the moving part when the progress is not known."""


class Progress:
    """A bar on standard error while it is entered, if that is a terminal; one bar for several tasks in sequence."""

    def __init__(self, out: IO[bytes] | None = None) -> None:
        """``out``: where the result goes. Output written to ``self.out`` goes there, and if that is a terminal, it ends the
        bar."""
        self._what = ""
        self._done: Callable[[], float] = lambda: -1.0
        self._over = threading.Event()
        shown = sys.stderr is not None and sys.stderr.isatty()
        self._thread = threading.Thread(target=self._show, daemon=True) if shown else None
        self.out: Any = io.BufferedWriter(Shared(out.fileno(), self.end)) if out and out.isatty() else out

    @property
    def raw(self) -> Any:
        """``out`` without a buffer; with PYTHONUNBUFFERED standard output has none."""
        return getattr(self.out, "raw", self.out)

    def begin(self, what: str, done: Callable[[], float]) -> None:
        """Begin the next task. ``done``: progress, 0 to 1; below 0: not known. It is called from another thread."""
        self._what, self._done = what, done

    def end(self) -> None:
        """End the bar: the terminal is used for other output now."""
        self._over.set()
        if self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        if self.out:
            self.out.flush()

    def _show(self) -> None:
        if self._over.wait(PATIENCE):
            return
        with suppress(OSError):  # the terminal is gone
            while not self._over.wait(STEP):
                self._draw(f"{bar(self._done())} {self._what}"[: room()])
            self._draw("")

    def _draw(self, text: str) -> None:
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()


class Shared(io.RawIOBase):
    """A terminal that may show the bar: the bar is removed before the first byte is written."""

    def __init__(self, fd: int, before: Callable[[], None]) -> None:
        super().__init__()
        self._fd, self._before = fd, before

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any, /) -> int:
        self._before()
        return os.write(self._fd, data)


def room() -> int:
    """Return the number of columns that fit on one line."""
    return (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1


def bar(done: float) -> str:
    """Return a bar of constant width."""
    if done < 0:
        at = int(time.monotonic() / STEP) % (WIDTH - MOVING)
        return f"[{' ' * at}{'#' * MOVING}{' ' * (WIDTH - MOVING - at)}]     "
    full = round(min(done, 1) * WIDTH)
    return f"[{'#' * full}{' ' * (WIDTH - full)}] {min(done, 1):4.0%}"


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP end the block like an exception, so that it can clean up; after that, more of them have no
    effect."""
    came: list[int] = []
    heard = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]  # nohup

    def end(number: int, _frame: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    for number in heard:
        signal.signal(number, end)
    try:
        yield
    except KeyboardInterrupt:
        for number in heard:
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + (came[0] if came else signal.SIGINT)) from None


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let a signal call ``interrupt`` at once, from another thread: Python's own handler waits until the database returns."""
    heard, signalled = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)

    def listen() -> None:
        while os.read(heard, 1) != b"\0":
            interrupt()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        os.write(signalled, b"\0")
        thread.join()
        os.close(heard)
        os.close(signalled)
