"""What libraries are told through the environment, and taken back before a traced command inherits it.

Apart, because they read it when they are first loaded, long before anything else here runs, and because a command must
find the environment that its user gave it.
"""

from __future__ import annotations

import os
from typing import Final

_set: Final[set[str]] = set()


def set_variable(name: str, value: str) -> None:
    """Unless the user has said otherwise."""
    if name not in os.environ:
        os.environ[name] = value
        _set.add(name)


def restore_environment() -> None:
    """All that was told; what was loaded keeps it."""
    while _set:
        os.environ.pop(_set.pop(), None)
