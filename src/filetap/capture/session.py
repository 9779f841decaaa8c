"""A run: a source, a filter, a sink and the statistics, in the order in which an event passes them.

Separate, because it is the only place that connects them; the command line and the tests use it alike.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from filetap.capture.later import Later
from filetap.capture.name_filter import UnresolvedNameFilter
from filetap.capture.options import Options
from filetap.capture.outlet import Outlet
from filetap.capture.outlets import Outlets
from filetap.capture.peer import Wanted, completed, read
from filetap.capture.pending import AIO, REQUESTS, Listing, Pending, same, wanted
from filetap.capture.source import KernelSource
from filetap.capture.statistics import AggregateTotals, balance, kernel_notes
from filetap.core import wire
from filetap.core.batch import Batch, Overflow
from filetap.core.calls import CALLS, OP_NUMBER, OPS
from filetap.core.clock import Clock, utc
from filetap.core.errors import FiletapError
from filetap.core.sink import Beginning, SummingSink
from filetap.core.statistics import Statistics
from filetap.core.wire import Records
from filetap.render.columns import durations
from filetap.selection.filters import Filters

SHORTEST_WAIT: Final = 0.02
LONGEST_WAIT: Final = 0.1
SUM_INTERVAL: Final = 1.0
GAP: Final = 0.05
"""Seconds between two looks at pending calls: a listed call has lasted at least that long."""


class OutputError(FiletapError):
    """No output is left; what was written stays."""


class Session:
    """Attached from construction to ``finish``."""

    def __init__(self, options: Options, outputs: Sequence[Outlet], started: float | None = None, sums: SummingSink | None = None) -> None:
        """``started``: time.monotonic() of the start that ``Statistics.attached`` counts from. ``sums``: with
        ``options.aggregate``, the receiver of the sums."""
        self._started = time.monotonic() if started is None else started
        self.outlets = Outlets(outputs)
        self._clock = Clock()
        self.source = KernelSource(options, self._clock)
        try:
            self.outlets.begin(Beginning(self.source.hooks, self.source.notes))
        except BaseException:
            self.source.close()
            raise
        self._attached, self._began = time.monotonic(), time.time()
        self._since = self._clock.boot()
        self.source.start()
        self._names = NameFilter(options.filters, self.source.later)
        self._lister = Lister(self.source, options.filters)
        self.pending = self._nothing()
        """The calls that were pending at the last listing."""
        self._sums = sums if options.aggregate else None
        self._summed = AggregateTotals()
        self.sum_interval, self._sums_due = SUM_INTERVAL, 0.0
        self._wait = SHORTEST_WAIT
        self._wakers: set[int] = set()
        self._poll = select.poll()
        self._poll.register(self.source.fd, select.POLLIN)

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
        self.source.enable_enter_probes()
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
        taken = self.source.take_sums()
        count = self._deliver(final)
        keys, values = self._names.without_unwanted_sums(*taken, self._nothing())
        self._summed.add(keys, values)
        sums.summed(keys, values, self._nothing())
        self.source.forget_files()
        return count + len(keys)

    def _deliver(self, final: bool) -> int:
        count = 0
        for drained in self.source.drain(final):
            batch = self._names.without_unwanted(drained)
            if len(batch.events):
                self.outlets.write(batch)
                self._check_outputs()
                count += len(batch.events)
        if count:
            self.outlets.flush()
        self._check_outputs()
        return count

    def _check_outputs(self) -> None:
        """Raise OutputError if no output is left."""
        if self.outlets.failure:
            raise OutputError(self.outlets.failure)

    def finish(self) -> Statistics:
        """Detach, deliver the rest, complete the statistics, release everything. The outputs stay open."""
        before = self._lister.look()
        if len(before):
            time.sleep(GAP)
        self.source.stop()
        ended = time.monotonic()
        listing = self._lister.again(before)
        self.source.detach()
        try:
            self._deliver_the_rest(listing)
        finally:
            stats = self._stats(self.source.overflows(), ended)
            self.source.close()
        return stats

    def list_pending(self) -> Batch:
        """Deliver the calls that are pending now."""
        before = self._lister.look()
        if len(before):
            time.sleep(GAP)
        listing = self._lister.again(before)
        if self._sums:
            self._sum_up(self._sums)
        else:
            self._deliver(final=False)
        self.pending = self._lister.batch(listing, self._since, self._clock.offset())
        self._hand_over_pending(self.pending)
        return self.pending

    def _hand_over_pending(self, batch: Batch) -> None:
        if len(batch.events):
            self.outlets.pending(batch)
        self.source.definitions.drop_temporary()

    def _deliver_the_rest(self, listing: Listing) -> None:
        """Deliver the rest. If no output is left, nothing more is written, and that is no second failure."""
        with suppress(OutputError):
            self._check_outputs()
            if self._sums:
                self._sum_up(self._sums, final=True)
            else:
                self._deliver(final=True)
            if overflows := self.source.overflows():
                self.outlets.aggregated(overflows, self._nothing())
        self.pending = self._lister.batch(listing, self._since, self._clock.offset())
        self._hand_over_pending(self.pending)
        self.outlets.drain()

    def _nothing(self) -> Batch:
        """Return a batch without events, but with the definitions that overflows refer to."""
        known = self.source.definitions
        return Batch(np.zeros(0, wire.EVENT), known.files, known.tasks, self._clock.offset(), names=known.files.made)

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
        ops = balance(counters, self.outlets.delivered, overflows, self._names.dropped, self._summed if self._sums else None)
        return Statistics(
            ops=ops,
            aggregated=self._sums is not None,
            files=int(counters["files"].sum()),
            processes=self.source.definitions.processes,
            began=utc(self._began),
            ended=utc(self._began + ended - self._attached),
            elapsed=ended - self._attached,
            attached=self.attached,
            cpu=used.user + used.system,
            missed=self.source.missed(),
            pending=by_op(self.pending.events),
            outputs=self.outlets.statistics(),
            reasons=[] if ops or len(self.pending.events) else self.source.silence(int(self._names.dropped.sum())),
            notes=[*self.source.notes, *self.source.cgroup_notes(), *kernel_notes(counters), *self._notes()],
        )

    def _notes(self) -> Iterator[str]:
        if self.source.forgotten:
            yield f"{self.source.forgotten} files were dropped from the full file table; if used again, they are counted again"
        if self.source.later and self.source.later.removed:
            yield (
                f"{self.source.later.removed} changes by names outside every PATH were not looked up: the names were removed first; "
                "if they were symbolic links, the change may have been on a PATH"
            )
        if self.outlets.failure:
            yield "writing the output failed: the events after that are lost"


class Lister:
    """Looks for pending calls, twice, and applies the filters of user space."""

    def __init__(self, source: KernelSource, filters: Filters) -> None:
        self._source, self._filters = source, filters
        self._names = NameFilter(filters)
        self._timed = source.options.timed
        named_only = UnresolvedNameFilter(filters).exclusive
        self._pending = Pending(source.options.filters.calls, source.definitions, source.new_id, named_only)

    def look(self) -> Records:
        """Return everything that is pending at this moment, however short. A failure is noted and does not end the run."""
        if self._filters.failed or self._source.all_ended():
            return np.zeros(0, wire.PENDING_CALL)  # whether a pending call will fail is not known
        try:
            return self._pending.chosen(self._source.underway().calls())
        except FiletapError as error:
            self._source.notes.append(f"pending calls are not listed: {error}")
            return np.zeros(0, wire.PENDING_CALL)

    def again(self, before: Records) -> Listing:
        """Return what of ``before`` is still pending, and its arguments."""
        if not len(before):
            return Listing(before, [])
        found = same(before, self.look(), self._timed)
        alive = self._alive(found)
        found = found[~self._completed(found, alive)]
        needed = [wanted(CALLS[number], record) for number, record in zip(self._pending.calls(found), found, strict=True)]
        data = read(found, needed)
        if not any(needs != Wanted() for needs in needed):
            return Listing(found, data, alive)
        still = {int(tid) for tid in same(found, self.look(), self._timed)["tid"]}
        kept = [row for row, tid in enumerate(found["tid"].tolist()) if tid in still]
        return Listing(found[kept], [data[row] for row in kept], alive)

    def _alive(self, found: Records) -> dict[tuple[int, int], int]:
        """Return processes with requests: by pid and start their numbers in /proc."""
        if not REQUESTS.intersection(found["call"].tolist()):
            return {}
        return {(pid, start): number for start, pid, number in self._source.underway().living().tolist()}

    def _completed(self, found: Records, alive: dict[tuple[int, int], int]) -> Records:
        """Return which are requests of io_submit whose completions are in their processes' memory, and were not seen by a
        call yet."""
        aio = np.isin(found["call"], AIO)
        if not aio.any():
            return aio
        places, positions = self._source.underway().rings()
        there = [owner in alive for owner in zip(places["tgid"].tolist(), places["start"].tolist(), strict=True)]
        rings = places[there], positions[there]
        numbers = {pid: number for (pid, _), number in alive.items() if number and pid in found["pid"][aio]}
        done = {(pid, address) for pid, number in numbers.items() for address in completed(pid, number, *rings)}
        return aio & [request in done for request in zip(found["pid"].tolist(), found["ip"].tolist(), strict=True)]

    def batch(self, listing: Listing, began: int, realtime: int) -> Batch:
        """Return the batch. ``began``: start of the trace, CLOCK_BOOTTIME."""
        whole = self._pending.batch(listing, self._bound(began), realtime)
        batch = self._names.without_unwanted(whole)
        least = self._filters.min_latency
        return batch.where(durations(batch.events) >= least) if least else batch

    def _bound(self, began: int) -> int:
        """Return since when the beginning of every target's calls is traced; 0: a process may have joined a cgroup in the
        middle of a call."""
        return began if self._timed and not self._source.options.targets.cgroups else 0


def by_op(events: Records) -> dict[str, int]:
    """Return the number of each operation."""
    counts = np.bincount(wire.OP_OF_CALL[events["call"]], minlength=wire.MAX_OPS)
    return {OPS[op]: int(counts[op]) for op in np.nonzero(counts)[0].tolist()}


class NameFilter:
    """The only filter in user space: names that led to no file are matched as the caller wrote them."""

    def __init__(self, filters: Filters, later: Later | None = None) -> None:
        self._names, self._later = UnresolvedNameFilter(filters), later
        self.dropped = np.zeros(wire.MAX_OPS, np.int64)
        """Dropped events per op, which the kernel has counted as seen. Minus those that it has not counted, and that match."""

    def without_unwanted(self, batch: Batch) -> Batch:
        if not self._names.needed:
            return batch
        drop, later = self._unwanted(batch), batch.events["flags"] & wire.LATER != 0
        if self._later and (doubtful := drop & later & (batch.events["result"] >= 0)).any():
            batch, kept = self._later.look(batch, doubtful)
            drop &= ~kept
        self.dropped += _by_op(batch, drop & ~later) - _by_op(batch, later & ~drop)
        return batch.where(~drop) if drop.any() else batch

    def _unwanted(self, batch: Batch) -> NDArray[np.bool_]:
        """Return the events of which no name matches as the caller wrote it."""
        named = {n for n in np.unique(batch.events["file"]).tolist() if not self._wanted(batch, n)}
        drop = np.isin(batch.events["file"], list(named)) if named else np.zeros(len(batch.events), bool)
        if len(batch.ext):
            two = batch.events["flags"] & wire.HAS_EXT != 0
            unsaid = (batch.events["file"][two] == 0) & (batch.ext["target"] != 0) & self._names.exclusive
            drop[two] = (drop[two] | unsaid) & ~self._wanted_targets(batch)
        return drop

    def without_unwanted_sums(self, keys: Records, values: Records, batch: Batch) -> tuple[Records, Records]:
        """Filter the kernel's sums in the same way. If this filter is needed, they include no event with two names."""
        if not self._names.needed:
            return keys, values
        unwanted = [n for n in np.unique(keys["file"]).tolist() if not self._wanted(batch, n)]
        drop = np.isin(keys["file"], unwanted)
        np.add.at(self.dropped, keys["op"][drop], values["count"][drop].astype(np.int64))
        return keys[~drop], values[~drop]

    def _wanted(self, batch: Batch, number: int) -> bool:
        """Return whether a file matches. One that the kernel resolved has passed its filter there; nothing is known of one
        without a name."""
        name = batch.names.get(number)
        return not name or bool(name.inode) or self._names.wants(name)

    def _wanted_targets(self, batch: Batch) -> NDArray[np.bool_]:
        """One matching name of the two is enough."""
        targets = batch.ext["target"]
        wanted = [n for n in np.unique(targets).tolist() if n and self._wanted(batch, n)]
        return np.isin(targets, wanted)


def _by_op(batch: Batch, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many of these events there are of each operation."""
    return np.bincount(wire.OP_OF_CALL[batch.events["call"][rows]], minlength=wire.MAX_OPS)
