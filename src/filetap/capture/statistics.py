"""The statistics of a run: events seen, delivered, aggregated and lost.

Separate, because it must hold in every case: seen = delivered + aggregated + lost, per op.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filetap.core import wire
from filetap.core.batch import Overflow
from filetap.core.calls import OPS
from filetap.core.wire import Records


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
    notes: list[str] = field(default_factory=list)
    """What the figures do not show: calls not decoded, full caches, how the run ended."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def total(self) -> OpStatistics:
        names = ("seen", "delivered", "aggregated", "lost", "bytes", "errors")
        return OpStatistics(**{name: sum(getattr(op, name) for op in self.ops.values()) for name in names})


class AggregateTotals:
    """The kernel's sums that were taken, by op."""

    def __init__(self) -> None:
        self.count, self.errors, self.bytes = (np.zeros(wire.MAX_OPS, np.int64) for _ in range(3))

    def add(self, keys: Records, values: Records) -> None:
        for name in ("count", "errors", "bytes"):
            np.add.at(getattr(self, name), keys["op"], values[name].astype(np.int64))


class Tally:
    """Events delivered so far, by op, counted by columns."""

    def __init__(self) -> None:
        self.delivered = np.zeros(wire.MAX_OPS, np.int64)
        self.errors = np.zeros(wire.MAX_OPS, np.int64)
        self.bytes = np.zeros(wire.MAX_OPS, np.int64)

    def add(self, calls: NDArray[Any], result: NDArray[Any]) -> None:
        """Count delivered events: their ``call`` and ``result``."""
        ops = wire.OP_OF_CALL[calls]
        counts = np.bincount(ops, minlength=wire.MAX_OPS)
        self.delivered += counts
        if (failed := result < 0).any():
            self.errors += np.bincount(ops[failed], minlength=wire.MAX_OPS)
        for op in np.nonzero(counts * wire.OP_RETURNS_BYTES)[0].tolist():
            self.bytes[op] += int(result[(ops == op) & (result > 0)].sum())


class Delivery:
    """Events in the sink: they count once the sink has written them."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._waiting: deque[tuple[NDArray[Any], NDArray[Any]]] = deque()
        self._settled = 0

    def hand_over(self, events: Records) -> None:
        """Record the events given to the sink; ``events`` itself is void afterwards."""
        self._waiting.append((events["call"].copy(), events["result"].copy()))

    def settle(self, written: int) -> None:
        """Count events: the sink has written this many in all, in order."""
        while self._waiting and self._settled < written:
            calls, results = self._waiting.popleft()
            out = min(written - self._settled, len(calls))
            self.tally.add(calls[:out], results[:out])
            self._settled += out
            if out < len(calls):
                self._waiting.appendleft((calls[out:], results[out:]))


def balance(
    counters: Records, tally: Tally, overflows: Sequence[Overflow], dropped: Records, summed: AggregateTotals | None = None
) -> dict[str, OpStatistics]:
    """Compare the kernel's counters (one record per CPU) with what was delivered. ``dropped``: events per op that the filter
    in user space dropped, which were not requested. ``summed``: in a run that aggregates, the sums taken."""
    aggregated_bytes, overflow_counts = np.zeros((2, wire.MAX_OPS), np.int64)
    for overflow in overflows:
        aggregated_bytes[overflow.op] += overflow.bytes
        overflow_counts[overflow.op] += overflow.count
    seen = counters["seen"].sum(axis=0).astype(np.int64) - dropped
    aggregated = overflow_counts + summed.count if summed else counters["aggregated"].sum(axis=0).astype(np.int64)
    summed = summed or AggregateTotals()
    return {
        OPS[op]: OpStatistics(
            seen=int(seen[op]),
            delivered=int(tally.delivered[op]),
            aggregated=int(aggregated[op]),
            lost=int(seen[op] - tally.delivered[op] - aggregated[op]),
            bytes=int(tally.bytes[op] + aggregated_bytes[op] + summed.bytes[op]),
            errors=int(tally.errors[op] + summed.errors[op]),
        )
        for op in np.nonzero(seen)[0]
    }


def kernel_notes(counters: Records) -> list[str]:
    """Return notes on counters of the kernel half that affect the figures."""
    texts = {
        "lost": "events are lost: the ring and the aggregation table were full",
        "compat": "32-bit calls were not decoded",
        "files_full": "times the file table was full: those files were described again at each use",
        "undefined": "file or task descriptions did not fit in their ring: those events have an inode number and no path",
        "names_full": "times the name table was full: those names were described again at each use",
        "unresolved": "changes by name could not be looked up after their call (their directory or process was gone, or there were too "
        "many at once): some may have been on a PATH",
        "believed": "changes by name were not looked up, because the same name had led elsewhere less than 0.1 s before "
        "and a rename or mount followed: some may have been on a PATH",
        "lists_cut": "calls of close_range, io_submit or io_getevents had too many descriptors or requests: events of the last ones are "
        "missing",
        "rules_full": "times a watched file could not be added to the table of watched inodes: accesses by its other names may be missing",
        "requests_full": "requests of io_uring or io_submit were reported at submission, without a result: too many were pending",
        "completions_full": "io_uring requests may be missing: the program's own completion queue was full",
        "opens_full": "times the table of open files was full: the open_id of such a file changes from event to event",
        "ids_again": "times the ids of files and tasks wrapped around: events may refer to a file or task that had the same id before",
        "interrupted": "events are missing: they occurred while another one was being described on the same CPU",
        "uncounted_tasks": "tasks could not be traced: the kernel had no memory for their state",
        "processes_full": "processes were not followed because too many run: the parent of their children may be the one that adopted them",
        "late_modules": "files are of overlayfs or btrfs, whose structures were not known when this run began (a module loaded since, "
        "or a kernel without BTF of modules): their real inode or subvolume is missing",
    }
    counts = {name: int(counters[name].sum()) for name in texts}
    return [f"{count} {texts[name]}" for name, count in counts.items() if count]
