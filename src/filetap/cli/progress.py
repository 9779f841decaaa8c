"""What goes on beside a long question: a progress bar on standard error, and an ear for Ctrl-C.

Apart, because whoever works knows nothing of it: it asks from beside. Next: query.py, summary.py, replay.py.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

PATIENCE: Final = 1.0
"""Seconds until it shows; then it is drawn so many times a second: 1 / STEP."""
STEP: Final = 0.1
WIDTH: Final = 30


class Progress:
    """While it is entered. ``done``: how far, 0 to 1; below 0: not known. It is called from a thread of its own."""

    def __init__(self, done: Callable[[], float], *, hidden: bool = False) -> None:
        """``hidden``: what is worked out goes to the terminal itself."""
        self._done, self._over = done, threading.Event()
        shown = sys.stderr is not None and sys.stderr.isatty() and not hidden
        self._thread = threading.Thread(target=self._show, daemon=True) if shown else None

    def __enter__(self) -> Self:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def _show(self) -> None:
        if self._over.wait(PATIENCE):
            return
        while not self._over.wait(STEP):
            sys.stderr.write("\r" + bar(self._done()))
            sys.stderr.flush()
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def bar(done: float) -> str:
    """One line, always as wide."""
    if done < 0:
        return f"[{' ' * WIDTH}]    "
    full = round(min(done, 1) * WIDTH)
    return f"[{'#' * full}{' ' * (WIDTH - full)}] {min(done, 1):4.0%}"


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """SIGINT calls ``interrupt`` at once, from another thread: Python's own handler waits until the database is done."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
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
