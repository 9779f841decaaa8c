"""The entry point of the ``filetap`` script: SIGINT ends the process while it imports, and SIGUSR2 is blocked until it can be
handled.

Separate, because Python's default, an exception at an arbitrary place, is lost in a callback of the import system, and because
this must run before everything else.
"""

from __future__ import annotations

import signal

from filetap.core import libraries

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
IGNORED = frozenset(number for number in HANDLED if signal.getsignal(number) == signal.SIG_IGN)
"""Signals that were ignored when filetap started: a traced command ignores them, too."""
BLOCKED = signal.pthread_sigmask(signal.SIG_BLOCK, ())
"""Signals that were blocked when filetap started: a traced command blocks them, too."""


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR2,))  # neither end filetap nor interrupt the loading of programs
    libraries.set_variable("OPENBLAS_NUM_THREADS", "1")  # filetap does no linear algebra: these threads only spin, for 0.3 s of CPU
    from filetap.cli.main import main as run

    run()
