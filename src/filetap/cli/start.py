"""The entry point of the ``filetap`` script, and its first line: SIGINT ends the process while it imports.

Apart, because Python's own answer, an exception wherever it happens to be, is lost in a callback of the import system
and would change the handler of whoever imports main.py. Next: main.py.
"""

from __future__ import annotations

import signal

IGNORED = frozenset(number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) == signal.SIG_IGN)
"""By whoever started us: a traced command's are so, too."""
signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> None:
    """Run the command line."""
    from filetap.cli.main import main as run

    run()
