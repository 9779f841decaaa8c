"""The entry point of the ``filetap`` script: SIGINT ends the process while it imports, and SIGUSR2 waits until it is heard.

Apart, because Python's own answer, an exception wherever it happens to be, is lost in a callback of the import system,
and because nothing but this may come before it.
"""

from __future__ import annotations

import signal

from filetap.core import libraries

IGNORED = frozenset(number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2) if signal.getsignal(number) == signal.SIG_IGN)
"""By whoever started us: a traced command's are so, too."""
BLOCKED = signal.pthread_sigmask(signal.SIG_BLOCK, ())
"""Likewise."""


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR2,))  # a question: it neither ends us nor disturbs the loading of programs
    libraries.set_variable("OPENBLAS_NUM_THREADS", "1")  # nobody asks numpy for algebra: its threads spin for 0.3 s of CPU and get no work
    from filetap.cli.main import main as run

    run()
