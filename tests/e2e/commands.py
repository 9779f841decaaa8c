"""Parts of command lines, and JSON lines sorted by time: shared by test_options_*.py and test_output_*.py.

Separate from conftest.py, which runs commands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

JSON = ("-f", "json")
READING = ("-e", "open", "-e", "read", "-e", "close")
TIME = r"\d\d:\d\d:\d\d\.\d{3} +"
"""The start of a row of the table."""


def cat(*files: Path) -> tuple[str, ...]:
    return "--", "cat", *map(str, files)


def lines(out: bytes) -> list[dict[str, Any]]:
    """Return all lines, sorted by time: the order across CPUs is not guaranteed."""
    return sorted((json.loads(line) for line in out.splitlines()), key=lambda event: str(event["@timestamp"]))
