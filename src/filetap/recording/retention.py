"""How much of a recording goes into a segment, and how much of it is kept.

Apart, because the command line says so before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

ROWS: Final = 4 << 20
"""Events of a segment."""


@dataclass(frozen=True, slots=True)
class Keep:
    """What of a recording is kept: the youngest segments."""

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
    """As it is written; sealed, it has about half."""
    seconds: float = float("inf")
    keep: Keep = field(default_factory=Keep)
