"""The statistics of a run, as sinks, reports and recordings have them.

Separate from capture/statistics.py, which counts them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class OpStatistics:
    """One op's events; ``bytes`` are those that reads, writes and copies returned, aggregated ones included."""

    seen: int = 0
    delivered: int = 0
    aggregated: int = 0
    lost: int = 0
    bytes: int = 0
    errors: int = 0


@dataclass(slots=True)
class OutputStatistics:
    """The events of one output."""

    name: str
    written: int = 0
    dropped: int = 0
    """Not written because its queue was full, or because it had failed."""
    spilled: int = 0
    """Written to the recording ``spill`` instead, because its queue was full."""
    spill: str = ""
    failure: str = ""
    """Why it got no more."""


@dataclass(slots=True)
class Statistics:
    """The statistics of a whole run. Times in seconds."""

    ops: dict[str, OpStatistics] = field(default_factory=dict)
    files: int = 0
    """Files, each under each of its paths, that events refer to; one that was evicted meanwhile counts again, one that could
    not be described does not."""
    processes: int = 0
    began: str = ""
    """When everything was attached, and when it ended: ISO 8601, UTC. Before and after that nothing was seen."""
    ended: str = ""
    elapsed: float = 0.0
    cpu: float = 0.0
    """filetap's own CPU time, user and system, from start to the statistics."""
    attached: float = 0.0
    """Seconds from the start until everything was attached."""
    aggregated: bool = False
    """The run aggregates: aggregated events were summed up as intended."""
    missed: int = 0
    """How often the kernel skipped a program, because it was already running on that CPU: events may not have been counted."""
    reasons: list[str] = field(default_factory=list)
    """Possible reasons why nothing was seen; none if something was."""
    pending: dict[str, int] = field(default_factory=dict)
    """Calls that were pending at the end, by op: they have made no event."""
    outputs: list[OutputStatistics] = field(default_factory=list)
    """The events of each output, if there are several or one has a queue."""
    notes: list[str] = field(default_factory=list)
    """What the figures do not show: calls not decoded, full caches, how the run ended."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def total(self) -> OpStatistics:
        names = ("seen", "delivered", "aggregated", "lost", "bytes", "errors")
        return OpStatistics(**{name: sum(getattr(op, name) for op in self.ops.values()) for name in names})
