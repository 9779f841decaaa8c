"""What filetap says of itself: one line on standard error, whatever stands in the names that it has in it.

Apart, because every command says something. Next: main.py says errors, query.py what was repaired or left out.
"""

from __future__ import annotations

import sys

from filetap.enrich.terminal import one_line


def say(text: str) -> None:
    print(f"filetap: {one_line(text)}", file=sys.stderr)
