"""Messages of filetap: one line on standard error, whatever characters the names in it contain.

Separate, because every command uses it.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from filetap.render.terminal import one_line


def log_message(text: str) -> None:
    write_stderr(f"filetap: {one_line(text)}")


def write_stderr(text: str) -> None:
    """Write the text unchanged. Standard error may be closed, and standard output must not replace it; or its reader may be
    gone."""
    if sys.stderr:
        with suppress(OSError):
            print(text, file=sys.stderr)
