"""Parts of command lines, and lines of JSON in the order of time: what the tests of test_options_*.py and
test_output_*.py share.

Apart from conftest.py, which runs commands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


JSON = ("-f", "json")
READING = ("-e", "open", "-e", "read", "-e", "close")
TIME = r"\d\d:\d\d:\d\d\.\d{3} +"
"""How a row of the table begins."""


def cat(*files: Path) -> tuple[str, ...]:
    return "--", "cat", *map(str, files)


def lines(out: bytes) -> list[dict[str, Any]]:
    """All that stands there, by time: across CPUs the order is not promised."""
    return sorted((json.loads(line) for line in out.splitlines()), key=lambda event: str(event["@timestamp"]))
