"""A sink: the destination of a run's events, and its life.

begin, then any number of write, flush, pending and aggregated, then finish or abort. A sink that was never begun is aborted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from filetap.core.batch import Batch, Overflow
from filetap.core.statistics import Statistics
from filetap.core.wire import Records


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known of a run once everything is attached."""

    hooks: Mapping[str, str] = field(default_factory=dict)
    """Of the VFS level: function to its attach type."""
    notes: Sequence[str] = ()
    """Requested operations that are not traced."""


class UnavailableError(OSError):
    """The destination is away and may come back: nothing of the batch was written, and it can be written again."""


class Sink:
    """The destination of batches. A sink defines what it needs of this; the rest does nothing.

    An OSError from any method ends it: it gets nothing more but ``finish``. What was written is kept.
    """

    written: int = 0
    """Events that are completely written, whatever happens next."""

    @property
    def kept(self) -> int:
        """Return how many of the written events are still there: a flight recorder drops old ones."""
        return self.written

    draining: bool = False
    """Set when the run is to end: do not wait for a slow reader any longer."""

    def begin(self, beginning: Beginning) -> None:
        """Start, once everything is attached: what it replaces is removed now."""

    def write(self, batch: Batch) -> None:
        """Take a batch; it may be buffered until the next call. The batch must not be used afterwards."""

    def flush(self) -> None:
        """Write everything that is buffered."""

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        """Take, at the end, what was not delivered singly. ``batch`` has no events, but the files, tasks and clock."""

    def pending(self, batch: Batch) -> None:
        """Take pending calls, as events with the flag PENDING and without a result: they do not count as written."""

    def finish(self, statistics: Statistics | None = None) -> None:
        """Complete the output. None: it is no run that has statistics. Raise FiletapError or OSError if that fails; what was
        written before is kept."""

    def abort(self, reason: str) -> None:
        """End without statistics: the run did not begin, or broke off. Nothing is left of an output that was never begun."""


class SummingSink(Sink):
    """A sink that takes the kernel's sums, too, in a run that aggregates."""

    def summed(self, keys: Records, values: Records, batch: Batch) -> None:
        """Take wire.AGGREGATE_KEY and wire.AGGREGATE, row by row: the sums since the last call. ``batch`` has no events, but
        the files, tasks and clock."""
