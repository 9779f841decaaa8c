"""The sums of a run in progress: those of the last interval, and the totals.

Separate from the screen, which only reads them. aggregation.py bounds the memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from filetap.analysis import summary
from filetap.analysis.aggregation import Accumulated, AggregateTables, condensed, of_batch, of_kernel, of_overflows
from filetap.analysis.rates import rates
from filetap.analysis.summary import KEYS
from filetap.core.batch import Batch, Overflow
from filetap.core.sink import SummingSink
from filetap.core.wire import Records


@dataclass(slots=True)
class Interval:
    """The sums of one interval in seconds, by kind of group; and the totals, once they are frozen."""

    seconds: float
    by: dict[str, Accumulated]
    totals: dict[str, pa.Table] = field(default_factory=dict)


class LiveAggregator(SummingSink):
    """A sink for a session that aggregates."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._began = now, now()
        self._totals = {by: Accumulated(by, fine=False) for by in KEYS}
        self._coming = {by: Accumulated(by) for by in KEYS}
        self.shown = Interval(1.0, {by: Accumulated(by) for by in KEYS})

    def write(self, batch: Batch) -> None:
        if len(batch.events):
            self._add(of_batch(batch))
        self.written += len(batch.events)

    def summed(self, keys: Records, values: Records, batch: Batch) -> None:
        if len(keys):
            self._add(of_kernel(keys, values, batch))

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        if overflows:
            self._add(of_overflows(overflows, batch))

    def _add(self, sums: AggregateTables) -> None:
        for by in KEYS:
            table = condensed(summary.keyed(*sums, by), KEYS[by])
            self._totals[by].add_table(table)
            self._coming[by].add_table(table)

    def restart(self) -> None:
        """Start counting."""
        self._began = self._now()

    def turn(self) -> None:
        """End the interval, show it, and begin another."""
        now = self._now()
        self.shown = Interval(max(now - self._began, 1e-3), self._coming)
        self._began, self._coming = now, {by: Accumulated(by) for by in KEYS}

    def freeze(self) -> None:
        """Keep what is shown, totals included, while events arrive."""
        self.shown.totals = {by: total.table() for by, total in self._totals.items()}

    def table(self, by: str) -> pa.Table:
        """Return the table in the form of analysis.rates.rates."""
        totals = self.shown.totals.get(by) or self._totals[by].table()
        return rates(self.shown.by[by].table(), totals, KEYS[by], self.shown.seconds)
