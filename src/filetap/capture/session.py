"""A run: a source, stages, outputs and the statistics, in the order in which an event passes them.

Separate, because it is the only place that connects them; the command line and the tests use it alike.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from filetap.capture.outlet import Outlet
from filetap.capture.outlets import Outlets
from filetap.capture.pending import Listing
from filetap.capture.source import Source
from filetap.capture.statistics import AggregateTotals, balance
from filetap.core import wire
from filetap.core.batch import Batch, Overflow
from filetap.core.calls import OP_NUMBER, OPS
from filetap.core.clock import utc
from filetap.core.errors import FiletapError
from filetap.core.sink import Beginning, SummingSink
from filetap.core.stage import Stage
from filetap.core.statistics import Statistics
from filetap.core.wire import Records
from filetap.render.terminal import one_line

SHORTEST_WAIT: Final = 0.02
LONGEST_WAIT: Final = 0.1
SUM_INTERVAL: Final = 1.0
GAP: Final = 0.05
"""Seconds between two looks at pending calls: a listed call has lasted at least that long."""
FAILED: Final = "writing the output failed: the events after that are lost"


class OutputError(FiletapError):
    """No output is left; what was written stays."""


class Session:
    """Attached from construction to ``finish``."""

    def __init__(
        self,
        source: Source,
        outputs: Sequence[Outlet],
        started: float | None = None,
        *,
        sums: SummingSink | None = None,
        stages: Sequence[Stage] = (),
    ) -> None:
        """``started``: time.monotonic() of the start that ``Statistics.attached`` counts from. ``sums``: the receiver of the sums
        of a source that aggregates. ``stages``: those after the source's own ones."""
        self._started = time.monotonic() if started is None else started
        self.outlets = Outlets(outputs)
        self.source = source
        source.attach()
        try:
            self.outlets.begin(Beginning(source.hooks, source.untraced))
        except BaseException:
            source.close()
            raise
        self._attached, self._began = time.monotonic(), time.time()
        source.start()
        self._stages = [*source.stages(), *stages]
        self.last_pending = self._known()
        """The calls that were pending at the last listing."""
        self._sums, self._summed = sums, AggregateTotals()
        self.sum_interval, self._sums_due = SUM_INTERVAL, 0.0
        self._wait = SHORTEST_WAIT
        self._wakers: set[int] = set()
        self._poll = select.poll()
        self._poll.register(source.fd, select.POLLIN)

    @property
    def attached(self) -> float:
        """Seconds from the start until everything was attached."""
        return self._attached - self._started

    def add_wakeup_fd(self, fd: int) -> None:
        """Add a descriptor that ends ``run_once``'s sleep, once, when it becomes readable."""
        self._poll.register(fd, select.POLLIN)
        self._wakers.add(fd)

    def set_draining(self) -> None:
        """Let sinks wait for a slow reader only a little longer. Safe in a signal handler."""
        self.outlets.set_draining()

    def run_once(self, limit: float = LONGEST_WAIT) -> int:
        """Sleep at most ``limit`` seconds, then deliver what is there. Return the number of events."""
        for fd, _ in self._poll.poll(max(0.0, min(self._wait, limit)) * 1000):
            if fd in self._wakers:
                self._poll.unregister(fd)
                self._wakers.remove(fd)
            else:
                self.source.woken()
                self._sums_due = 0.0
        self.source.refresh()
        if self._sums:
            return self._sum_up(self._sums) if time.monotonic() >= self._sums_due else 0
        count = self._deliver(final=False)
        self._wait = SHORTEST_WAIT if count else min(self._wait * 2, LONGEST_WAIT)
        return count

    def sum_up(self) -> None:
        """Deliver what the kernel has summed up until now."""
        if self._sums:
            self._sum_up(self._sums)

    def _sum_up(self, sums: SummingSink, final: bool = False) -> int:
        """Take the sums. Their ids are known once the definitions submitted before are read."""
        self._wait = LONGEST_WAIT
        self._sums_due = time.monotonic() + self.sum_interval
        keys, values = self.source.take_sums()
        count = self._deliver(final)
        for stage in self._stages:
            keys, values = stage.take_sums(keys, values, self.source.known())
        self._summed.add(keys, values)
        sums.summed(keys, values, self._known())
        self.source.forget()
        return count + len(keys)

    def _deliver(self, final: bool) -> int:
        """Deliver what is there, to its end: a batch that is not taken to its end would come again. ``final``: if no output is
        left, its outlet still counts what it misses."""
        count = 0
        for batch in self._staged(final):
            if len(batch.events):
                self.outlets.write(batch)
                count += len(batch.events)
        if count:
            self.outlets.flush()
        self._check_outputs(final)
        return count

    def _staged(self, final: bool) -> Iterator[Batch]:
        """Yield what has passed all stages; ``final``: what they hold back, too."""
        batches = self.source.drain(final)
        for stage in self._stages:
            batches = through(stage, batches, final)
        return batches

    def _known(self) -> Batch:
        """Return what the source knows, as sinks get it."""
        return self._described(self.source.known())

    def _described(self, batch: Batch) -> Batch:
        for stage in self._stages:
            batch = stage.describe(batch)
        return batch

    def _check_outputs(self, final: bool = False) -> None:
        """Raise OutputError if no output is left, unless the run is over anyway."""
        if self.outlets.failure and not final:
            raise OutputError(self.outlets.failure)

    def finish(self) -> Statistics:
        """Detach, deliver the rest, complete the statistics, release everything. The outputs stay open."""
        before = self._look()
        self.source.stop()
        ended = time.monotonic()
        listing = self.source.look_again(before)
        self.source.detach()
        try:
            self._deliver_the_rest(listing)
        finally:
            stats = self._stats(self.source.overflows(), ended)
            self.source.close()
        return stats

    def _look(self) -> Records:
        """Return what is pending, and a moment later the caller looks again."""
        before = self.source.look()
        if len(before):
            time.sleep(GAP)
        return before

    def list_pending(self) -> Batch:
        """Deliver the calls that are pending now."""
        listing = self.source.look_again(self._look())
        if self._sums:
            self._sum_up(self._sums)
        else:
            self._deliver(final=False)
        return self._deliver_pending(listing)

    def _deliver_pending(self, listing: Listing) -> Batch:
        self.last_pending = self._described(self.source.pending(listing))
        if len(self.last_pending.events):
            self.outlets.pending(self.last_pending)
        self.source.release()
        return self.last_pending

    def _deliver_the_rest(self, listing: Listing) -> None:
        """Deliver the rest. If no output is left, that is no second failure."""
        if self._sums:
            self._sum_up(self._sums, final=True)
        else:
            self._deliver(final=True)
        if overflows := self.source.overflows():
            self.outlets.aggregated(overflows, self._known())
        self._deliver_pending(listing)
        self.outlets.drain()

    def stats_so_far(self) -> Statistics:
        """Return the statistics of delivered events; those still in the rings are not included."""
        stats = self._stats(self.source.overflows(), time.monotonic())
        lost = self.source.counters()["lost"].sum(axis=0)
        for name, op in stats.ops.items():
            op.lost = int(lost[OP_NUMBER[name]])
            op.seen = op.delivered + op.aggregated + op.lost
        return stats

    def _stats(self, overflows: list[Overflow], ended: float) -> Statistics:
        counters = self.source.counters()
        used = os.times()
        dropped = sum((stage.dropped for stage in self._stages), np.zeros(wire.MAX_OPS, np.int64))
        ops = balance(counters, self.outlets.delivered, overflows, dropped, self._summed if self._sums else None)
        pending = by_op(self.last_pending.events)
        return Statistics(
            ops=ops,
            aggregated=self._sums is not None,
            files=int(counters["files"].sum()),
            processes=self.source.processes(),
            began=utc(self._began),
            ended=utc(self._began + ended - self._attached),
            elapsed=ended - self._attached,
            attached=self.attached,
            cpu=used.user + used.system,
            missed=self.source.missed(),
            pending=pending,
            outputs=self.outlets.statistics(),
            reasons=[] if ops or pending else list(map(one_line, self.source.silence(int(dropped.sum())))),
            notes=list(map(one_line, self.source.notes())) + [FAILED] * bool(self.outlets.failure),
        )


def through(stage: Stage, batches: Iterator[Batch], final: bool) -> Iterator[Batch]:
    """Yield what a stage makes of batches."""
    for batch in batches:
        yield from stage.take(batch)
    if final:
        yield from stage.end()


def by_op(events: Records) -> dict[str, int]:
    """Return the number of each operation."""
    counts = np.bincount(wire.OP_OF_CALL[events["call"]], minlength=wire.MAX_OPS)
    return {OPS[op]: int(counts[op]) for op in np.nonzero(counts)[0].tolist()}
