"""Counts the statistics of a run: events seen, delivered, aggregated and lost.

Separate, because it must hold in every case: seen = delivered + aggregated + lost, per op.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filetap.core import wire
from filetap.core.batch import Overflow
from filetap.core.calls import OPS
from filetap.core.statistics import OpStatistics
from filetap.core.wire import Records


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
        "cgroups_full": "times a cgroup below a traced one did not fit in the table of traced cgroups: its processes were not traced",
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
