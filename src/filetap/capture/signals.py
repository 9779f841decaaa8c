"""The signals of a run: SIGINT, SIGTERM and SIGHUP end it, SIGUSR2 lists the pending calls.

Separate, because handlers are installed before a command is forked, long before there is a session.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """Remembers the signals that came. Python's default for SIGINT, an exception, is lost in a callback."""

    def __init__(self) -> None:
        self.number = 0
        """The last of SIGINT, SIGTERM and SIGHUP; 0: none yet."""
        self.also: Callable[[int], None] = lambda number: None
        """Called by the handler, at any moment."""
        self._requested = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup(1)
                signal.signal(number, self._note)
        signal.signal(signal.SIGUSR2, self._request)

    def list_requested(self) -> bool:
        """Return whether SIGUSR2 came since the last call."""
        requested, self._requested = self._requested, False
        return requested

    def _request(self, _number: int, _frame: object) -> None:
        self._requested = True

    def _note(self, number: int, _frame: object) -> None:
        self.number = number
        self.also(number)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Block SIGUSR2: no program is loaded for a thread with pending signals (kernel/bpf/verifier.c)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR2,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR2,))


def wakeup_fd() -> int:
    """Return a descriptor that becomes readable when a signal comes, and let SIGUSR2 through to this thread."""
    wakeup, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR2,))
    return wakeup
