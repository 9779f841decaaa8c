"""The size of a segment, and how much of a recording is kept.

Separate, because the command line uses it before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

ROWS: Final = 4 << 20
"""Events of a segment."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Which segments of a recording are kept: the youngest."""

    seconds: float = float("inf")
    bytes: float = float("inf")

    @property
    def everything(self) -> bool:
        return self == Keep()


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a segment ends, and which segments are kept."""

    rows: int = ROWS
    bytes: float = float("inf")
    """While it is written; a sealed one has about half."""
    seconds: float = float("inf")
    keep: Keep = field(default_factory=Keep)
