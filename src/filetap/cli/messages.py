"""What filetap says of itself: one line on standard error, whatever stands in the names that it has in it.

Apart, because every command says something.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from filetap.render.terminal import one_line


def log_message(text: str) -> None:
    write_stderr(f"filetap: {one_line(text)}")


def write_stderr(text: str) -> None:
    """As it is. Standard error may be closed, and standard output must not stand in for it; or nobody may read it."""
    if sys.stderr:
        with suppress(OSError):
            print(text, file=sys.stderr)
