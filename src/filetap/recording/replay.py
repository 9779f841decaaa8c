"""Turns a recording back into batches, filtered, as a live run has them.

Separate from reader.py, which reads tables. Filters are applied to what was recorded, by columns: a PATH is a recorded path, or
below one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filetap.core import wire
from filetap.core.batch import Batch, File, Overflow, Task
from filetap.core.calls import OP_NUMBER
from filetap.recording import tables
from filetap.recording.format import Metadata
from filetap.recording.reader import Trace
from filetap.render.columns import clock, durations, second
from filetap.selection.paths import is_below

NEVER: Final = 1 << 32
"""Greater than every ``Task.execs``."""
Item = TypeVar("Item", File, Task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The filters; all must hold. An empty value or None does not filter."""

    calls: frozenset[int] | None = None
    """Indices into CALLS."""
    ops: frozenset[str] | None = None
    """Of aggregated rows, which have no call."""
    paths: tuple[bytes, ...] = ()
    exclude: tuple[bytes, ...] = ()
    recursive: bool = True
    """False: of a directory only its direct children."""
    pids: frozenset[int] = frozenset()
    comms: frozenset[bytes] = frozenset()
    children: bool = True
    """Of ``pids`` and ``comms``."""
    failed: bool = False
    min_latency: int = 0
    """ns."""
    within: tuple[int, int] | None = None
    """From the first to before the second, ns since 1970."""

    @property
    def by_path(self) -> bool:
        return bool(self.paths or self.exclude)

    @property
    def by_task(self) -> bool:
        return bool(self.pids or self.comms)

    @property
    def single(self) -> bool:
        """Return whether a filter needs single events: its value is not known for aggregated ones."""
        return self.failed or bool(self.min_latency)

    def file(self, file: File) -> bool:
        if any(is_below(file.path, path) for path in self.exclude):
            return False
        if self.recursive:
            return not self.paths or any(is_below(file.path, path) for path in self.paths)
        return not self.paths or file.path in self.paths or os.path.dirname(file.path) in self.paths

    def task(self, task: Task) -> bool:
        return task.pid in self.pids or task.comm in self.comms


class Replay:
    """One recording, once: its events, then its sums, then its pending calls."""

    def __init__(self, trace: Trace, wanted: Wanted) -> None:
        self._trace, self._wanted = trace, wanted
        self._rows = 0
        self._total = 0
        self._files: dict[int, File] = {}
        self._tasks: dict[int, Task] = {}
        self._chosen = Chosen(wanted, {}, {})

    @property
    def metadata(self) -> Metadata:
        return self._trace.metadata

    @property
    def done(self) -> float:
        """Return the progress, 0 to 1; below 0: not known."""
        return self._rows / self._total if self._total else -1.0

    def events(self) -> Iterator[Batch]:
        """Yield everything that matches, in the order of each thread."""
        unsealed = self._trace.streams("events")
        self._total = 0 if unsealed else sum(entry.events for entry in self._trace.metadata.segments)
        for rows in self._trace.batches("events"):
            yield from self._matching(rows)
            self._rows += rows.num_rows

    def overflows(self) -> list[Overflow]:
        """Return what was not recorded singly and matches."""
        aggregated = self._trace.table("aggregated")
        self._describe()
        return [overflow for overflow in overflows_of(aggregated) if self._chosen.overflow(overflow)]

    def pending(self) -> Iterator[Batch]:
        """Yield the pending calls that match."""
        for rows in self._trace.table("pending").to_batches():
            yield from self._matching(rows)

    def known(self) -> Batch:
        """Return a batch without events, but with everything that ids refer to."""
        return Batch(np.zeros(0, wire.EVENT), self._files, self._tasks, 0)

    def _matching(self, rows: pa.RecordBatch) -> Iterator[Batch]:
        for batch in self._batches(rows):
            if len((kept := batch.where(self._chosen.of(batch))).events):
                yield kept

    def _describe(self) -> None:
        """Load the files and tasks that are on disk by now."""
        self._files, self._tasks = tables.files_of(self._trace.table("files")), tables.tasks_of(self._trace.table("tasks"))
        self._chosen = Chosen(self._wanted, self._files, self._tasks)

    def _knows(self, rows: pa.RecordBatch) -> bool:
        """Return whether all files and tasks of these rows are loaded. A recording in progress may have new ones."""
        named = ((self._files, "file"), (self._files, "target"), (self._tasks, "task"))
        return all(known.keys() >= set(rows.column(name).unique().drop_null().to_pylist()) for known, name in named)

    def _batches(self, rows: pa.RecordBatch) -> Iterator[Batch]:
        """Yield a batch for each value of the clock's offset, which changes when the clock is set."""
        if not self._files or (self._trace.live and not self._knows(rows)):
            self._describe()
        events, ext, realtime = tables.replayed(rows)
        whole = Batch(events, self._files, self._tasks, int(realtime[0]) if len(realtime) else 0, ext)
        changes = np.nonzero(np.diff(realtime))[0] + 1
        ends = [0, *changes.tolist(), len(events)]
        for start, stop in pairwise(ends):
            part = whole if stop - start == len(events) else whole.portion(start, stop)
            yield Batch(part.events, part.files, part.tasks, int(realtime[start]) if len(realtime) else 0, part.ext)


class Chosen:
    """The filters, prepared for columns."""

    def __init__(self, wanted: Wanted, files: Mapping[int, File], tasks: Mapping[int, Task]) -> None:
        self._wanted = wanted
        self._files = ids(files, wanted.file) if wanted.by_path else np.zeros(0, np.uint32)
        self._tasks = np.array(sorted(self._with_children(tasks)), np.uint32)
        self._unnamed = not wanted.paths
        """There is no filter by path: events without a file match."""

    def _with_children(self, tasks: Mapping[int, Task]) -> set[int]:
        """Return the matching tasks, those that they have forked, and so on."""
        wanted = self._wanted
        if not wanted.by_task:
            return set()
        chosen = {number for number, task in tasks.items() if wanted.task(task)}
        count = -1
        while wanted.children and count != len(chosen):
            count = len(chosen)
            since = firsts(tasks[number] for number in chosen)
            chosen |= {
                n
                for n, task in tasks.items()
                if {task.parent, task.forker} & chosen or task.execs >= since.get((task.pid, task.start), NEVER)
            }
        return chosen

    def of(self, batch: Batch) -> NDArray[np.bool_]:
        """Return which events of a batch match."""
        events, wanted = batch.events, self._wanted
        keep: NDArray[np.bool_] = np.ones(len(events), bool)
        if wanted.calls is not None:
            keep &= np.isin(events["call"], list(wanted.calls))
        if wanted.failed:
            keep &= (events["result"] < 0) & (events["flags"] & wire.NO_RESULT == 0)
        if wanted.min_latency:
            keep &= durations(events) >= wanted.min_latency
        if wanted.within:
            moments = clock(events, batch.realtime)
            keep &= (moments >= wanted.within[0]) & (moments < wanted.within[1])
        if wanted.by_task:
            keep &= np.isin(events["task"], self._tasks)
        return keep & self._named(events["file"], second(batch, "target")) if wanted.by_path else keep

    def _named(self, file: NDArray[Any], target: NDArray[Any]) -> NDArray[np.bool_]:
        """One matching name of the two is enough."""
        unnamed = self._unnamed & (file == 0) & (target == 0)
        return np.asarray(np.isin(file, self._files) | np.isin(target, self._files) | unnamed)

    def overflow(self, overflow: Overflow) -> bool:
        wanted = self._wanted
        return (
            not wanted.single
            and (not wanted.within or (wanted.within[0] <= overflow.first and overflow.last < wanted.within[1]))
            and (wanted.ops is None or overflow.op in {OP_NUMBER[op] for op in wanted.ops})
            and (not wanted.by_task or overflow.task in self._tasks or overflow.pid in wanted.pids)
            and (not wanted.by_path or overflow.file in self._files or (self._unnamed and not overflow.file))
        )


def firsts(tasks: Iterable[Task]) -> dict[tuple[int, int], int]:
    """Return the exec since which each process matches. Ids do not show which description is older, because each CPU counts
    its own."""
    first: dict[tuple[int, int], int] = {}
    for task in tasks:
        process = (task.pid, task.start)
        first[process] = min(task.execs, first.get(process, NEVER))
    return first


def ids(items: Mapping[int, Item], wanted: Callable[[Item], bool]) -> NDArray[np.uint32]:
    return np.array([number for number, item in items.items() if wanted(item)], np.uint32)


def overflows_of(table: pa.Table) -> list[Overflow]:
    """Convert AGGREGATED; times are of CLOCK_REALTIME."""
    table = table.set_column(table.schema.get_field_index("first"), "first", table["first"].cast(pa.int64()))
    table = table.set_column(table.schema.get_field_index("last"), "last", table["last"].cast(pa.int64()))
    names = ("task", "file", "count", "bytes", "first", "last", "pid")
    return [Overflow(op=OP_NUMBER[row["op"]], **{name: row[name] or 0 for name in names}) for row in table.to_pylist()]
