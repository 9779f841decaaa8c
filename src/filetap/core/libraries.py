"""Environment variables that configure libraries, removed before a traced command inherits them.

Separate, because libraries read them when they are first loaded, long before anything else here runs, and because a command
must get the environment that its user gave it.
"""

from __future__ import annotations

import os
from typing import Final

_set: Final[set[str]] = set()


def set_variable(name: str, value: str) -> None:
    """Set a variable unless the user has set it."""
    if name not in os.environ:
        os.environ[name] = value
        _set.add(name)


def restore_environment() -> None:
    """Restore the variables; libraries that are loaded keep their settings."""
    while _set:
        os.environ.pop(_set.pop(), None)
