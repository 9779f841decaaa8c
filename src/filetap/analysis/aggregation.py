"""Sums of events as tables of bounded size: from the kernel's maps or from a stream's batches, by columns.

Separate from analysis/summary.py, which computes a result from such tables, and from the session, which reads the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filetap.analysis import summary
from filetap.analysis.summary import AGGREGATES, FILES, KEYS, SUMS, TASKS, TIME
from filetap.core import wire
from filetap.core.batch import Batch, File, Overflow, Task
from filetap.core.calls import OPS
from filetap.core.sink import SummingSink
from filetap.core.wire import Records
from filetap.render.columns import clock, durations, ops

GROUPS: Final = 16 << 10
"""The number of groups that are kept."""
ROWS: Final = 128 << 10
"""The number of rows that are kept. A group has one row for each bucket of its durations."""
NAMELESS: Final = 1 << 32
"""Added to the pid of a process that could not be described: an id beyond the kernel's and the reader's."""
_NAMES: Final = pa.array(OPS)


class AggregateTables(NamedTuple):
    """Aggregates, and the files and tasks that they refer to, in the forms of analysis/summary.py."""

    aggregates: pa.Table
    files: pa.Table
    tasks: pa.Table


def files_table(ids: Iterable[int], files: Mapping[int, File]) -> pa.Table:
    known = [number for number in ids if number and number in files]
    paths = [files[number].path or None for number in known]
    return pa.table([known, paths], schema=FILES)


def tasks_table(ids: Iterable[int], tasks: Mapping[int, Task]) -> pa.Table:
    """Return the table of these tasks. Only the pid is known of a process that could not be described."""
    found = [(number, tasks.get(number)) for number in ids if number]
    rows = [{"id": number, "pid": t.pid, "start": t.start, "command": t.comm, "exe": t.exe, **user_of(t)} for number, t in found if t]
    rows += [{"id": number, "pid": number - NAMELESS} for number, t in found if not t and number > NAMELESS]
    return pa.Table.from_pylist(rows, TASKS)


def user_of(task: Task) -> dict[str, Any]:
    """Return the user's ids and names, without those that are not known."""
    named = {name: getattr(task.credentials, name) for name in summary.USER}
    return {name: value for name, value in named.items() if value != ""} | {"cgroup_path": task.cgroup_path}


def _sums(columns: dict[str, Any], batch: Batch) -> AggregateTables:
    aggregates = pa.table([columns[name] for name in AGGREGATES.names], schema=AGGREGATES)
    files = files_table(pc.unique(aggregates["file"]).to_pylist(), batch.files)
    return AggregateTables(aggregates, files, tasks_table(pc.unique(aggregates["task"]).to_pylist(), batch.tasks))


def of_kernel(keys: Records, values: Records, batch: Batch) -> AggregateTables:
    """Convert wire.AGGREGATE_KEY and wire.AGGREGATE. ``batch`` has the files and tasks they refer to, and the clock."""
    task = keys["task"].astype(np.int64)
    nameless = (task == 0) & (keys["pid"] != 0)
    return _sums(
        {
            "file": keys["file"].astype(np.int64),
            "task": np.where(nameless, keys["pid"].astype(np.int64) + NAMELESS, task),
            "op": _NAMES.take(pa.array(keys["op"])),
            "bucket": pa.array(keys["bucket"].astype(np.int16), mask=keys["bucket"] == wire.NO_BUCKET),
            **{name: values[name].astype(np.int64) for name in (*SUMS, "max")},
            **{name: times(values[name], batch.realtime) for name in ("first", "last")},
        },
        batch,
    )


def of_batch(batch: Batch) -> AggregateTables:
    """Convert the events of a stream, a row for each."""
    events, took, number = batch.events, durations(batch.events), ops(batch.events["call"])
    result, time = events["result"], pa.array(clock(events, batch.realtime)).cast(TIME)
    return _sums(
        {
            "file": events["file"].astype(np.int64),
            "task": events["task"].astype(np.int64),
            "op": _NAMES.take(pa.array(number)),
            "bucket": pa.array(summary.bucket_of(took), mask=took == 0),
            "count": np.ones(len(events), np.int64),
            "errors": (result < 0).astype(np.int64),
            "bytes": np.maximum(result, 0) * wire.OP_RETURNS_BYTES[number],
            "total": took.astype(np.int64),
            "max": took.astype(np.int64),
            "first": time,
            "last": time,
        },
        batch,
    )


def of_overflows(overflows: Sequence[Overflow], batch: Batch) -> AggregateTables:
    """Convert the events that did not fit in the rings; their errors and durations are not known."""
    column = {
        name: np.array([getattr(overflow, name) for overflow in overflows], np.int64)
        for name in ("file", "task", "op", "count", "bytes", "pid")
    }
    nothing = np.zeros(len(overflows), np.int64)
    return _sums(
        {
            **{name: column[name] for name in ("file", "count", "bytes")},
            "task": np.where(column["task"] == 0, column["pid"] + NAMELESS, column["task"]),
            "op": _NAMES.take(pa.array(column["op"])),
            "bucket": pa.nulls(len(overflows), pa.int16()),
            **dict.fromkeys(("errors", "total", "max"), nothing),
            **{
                name: times(np.array([getattr(overflow, name) for overflow in overflows], np.uint64), batch.realtime)
                for name in ("first", "last")
            },
        },
        batch,
    )


def times(boot: NDArray[Any], realtime: int) -> pa.Array:
    return pa.array(boot.astype(np.int64) + realtime).cast(TIME)


class Accumulated:
    """Sums of one kind of group since the beginning, in bounded memory: above the limit the smallest groups become others."""

    def __init__(self, by: str, fine: bool = True, most: int = GROUPS, rows: int = ROWS) -> None:
        """``fine``: with the buckets, so that there are percentiles. ``most``: maximum number of groups; ``rows``: of the
        table."""
        self.by, self._fine, self._most, self._limit = by, fine, most, rows
        self._parts: list[pa.Table] = []
        self._rows = 0
        self.cut = False
        """Groups have become others: one that appeared again was counted anew."""

    def add(self, sums: AggregateTables) -> None:
        self.add_table(condensed(summary.keyed(*sums, self.by), KEYS[self.by]))

    def add_table(self, table: pa.Table) -> None:
        """Add a table made by ``condensed``."""
        if not self._fine:
            table = table.set_column(table.column_names.index("bucket"), "bucket", pa.nulls(len(table), pa.int16()))
            table = condensed(table, KEYS[self.by])
        self._parts.append(table)
        self._rows += len(self._parts[-1])
        if self._rows > self._limit:
            self.table()

    def table(self) -> pa.Table:
        """Return the sums with the columns of KEYS, as analysis.summary.of_groups takes them."""
        if len(self._parts) > 1:
            self._parts = [self._bounded(condensed(pa.concat_tables(self._parts), KEYS[self.by]))]
            self._rows = len(self._parts[0])
            pa.default_memory_pool().release_unused()
        return self._parts[0] if self._parts else condensed(summary.keyed(*EMPTY, self.by), KEYS[self.by])

    def _bounded(self, table: pa.Table) -> pa.Table:
        """Reduce the table to half of the limit, once it exceeds it."""
        keep = self._most
        while keep and (len(table) > self._limit // 2 or keep == self._most):
            groups, heads = summary.group(table, KEYS[self.by])
            if len(heads) > keep:
                self.cut = True
                heaviest = summary.ranked(table, groups, len(heads), "count")[: max(1, keep // 2)]
                table = condensed(without(table, KEYS[self.by], np.isin(groups, heaviest)), KEYS[self.by])
            keep //= 2
        return table

    def summary(self, top: int, sort: str = "count") -> pa.Table:
        return summary.of_groups(self.table(), self.by, top, sort)


EMPTY: Final = AggregateTables(AGGREGATES.empty_table(), FILES.empty_table(), TASKS.empty_table())


def condensed(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Return a row for each group and bucket."""
    by = [*keys, "others", "bucket"]
    how = dict.fromkeys(SUMS, "sum") | {"max": "max", "first": "min", "last": "max"}
    whole = table.group_by(by).aggregate(list(how.items()))
    return pa.table({**{name: whole[name] for name in by}, **{name: whole[f"{name}_{act}"] for name, act in how.items()}})


def without(table: pa.Table, keys: Sequence[str], kept: NDArray[np.bool_]) -> pa.Table:
    """Turn all rows except those kept into others."""
    mask = pa.array(kept)
    columns = {name: pc.if_else(mask, table[name], pa.scalar(None, table[name].type)) for name in keys}
    rest = {name: table[name] for name in table.column_names if name not in (*keys, "others")}
    return pa.table({**columns, "others": pc.or_(table["others"], pc.invert(mask)), **rest})


class Totals(SummingSink):
    """A sink that sums up the events it gets, and the sums that the kernel delivers."""

    def __init__(self, by: str) -> None:
        self.total = Accumulated(by)

    def write(self, batch: Batch) -> None:
        if len(batch.events):
            self.total.add(of_batch(batch))
        self.written += len(batch.events)

    def summed(self, keys: Records, values: Records, batch: Batch) -> None:
        if len(keys):
            self.total.add(of_kernel(keys, values, batch))

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        if overflows:
            self.total.add(of_overflows(overflows, batch))
