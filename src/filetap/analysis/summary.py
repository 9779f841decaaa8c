"""Summaries of accesses: count, bytes and duration by file or process; tables in, a table out, nothing printed.

Separate, because the kernel's own sums, a stream in progress and a recording are summed up in the same way: each is converted
to the table AGGREGATES first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

TIME: Final = pa.timestamp("ns", "UTC")

AGGREGATES: Final = pa.schema(
    [
        ("file", pa.int64()),
        ("task", pa.int64()),
        ("op", pa.string()),
        ("bucket", pa.int16()),
        ("count", pa.int64()),
        ("errors", pa.int64()),
        ("bytes", pa.int64()),
        ("total", pa.int64()),
        ("max", pa.int64()),
        ("first", TIME),
        ("last", TIME),
    ]
)
"""Events by (file, task, op, bucket). A key may stand in several rows: they are summed. Rows come in any order.

``file``, ``task``: ids of the tables FILES and TASKS; null, 0 or an id that is not there: none, or not known; OTHERS: several,
no longer told apart. ``bucket``: ``bucket_of`` the durations; null: not known. ``errors``: events that failed. ``bytes``: what
reads, writes and copies returned. ``total``: the sum of durations, ns; ``max``: the longest, 0: none is known.
``first``, ``last``: of the events' times.

By SQL, of a table of events with the duration in ns (0: not known)::

    SELECT file, task, op, <bucket_sql("duration")> AS bucket, count(*) AS count, count(*) FILTER (result < 0) AS errors,
           sum(CASE WHEN <op moves bytes> AND result > 0 THEN result ELSE 0 END)::BIGINT AS bytes,
           sum(duration)::BIGINT AS total, max(duration) AS max, min(time) AS first, max(time) AS last
    FROM ... GROUP BY ALL
"""

FILES: Final = pa.schema([("id", pa.int64()), ("path", pa.binary())])
"""Columns needed of the files; others are ignored. One path under several ids is one file in the summary."""

USER: Final = "euid user_name egid group_name uid real_user_name gid real_group_name loginuid audit_user_name".split()
"""The effective user, the real user, and the user who logged in: ids and their names at that time."""

TASKS: Final = pa.schema(
    [
        ("id", pa.int64()),
        ("pid", pa.int64()),
        ("start", pa.int64()),
        ("command", pa.binary()),
        ("exe", pa.binary()),
        *((name, pa.string() if name.endswith("_name") else pa.int64()) for name in USER),
        ("cgroup_path", pa.binary()),
    ]
)
"""Columns needed of the tasks. ``start`` distinguishes two processes with one pid; it is compared, never shown."""

OTHERS: Final = -1
"""The id of files, or of tasks, that are summed up together."""

KEYS: Final = {
    "file": ("path",),
    "directory": ("directory",),
    "process": ("pid", "start", "command"),
    "op": ("op",),
    "user": tuple(USER),
    "cgroup": ("cgroup_path",),
}
"""The values of ``by``, and the columns that a group shares."""

PERCENTILES: Final = {"p50": 50, "p90": 90, "p99": 99}
SUMS: Final = ("count", "errors", "bytes", "total")
EXTREMES: Final = {"max": np.maximum, "first": np.minimum, "last": np.maximum}
FIGURES: Final = ("count", "errors", "bytes", "total", "p50", "p90", "p99", "max", "first", "last")
"""Columns of a summary after its keys and ``others``. Durations in ns, null if none is known: ``total`` too."""

FINE: Final = 3
"""Bits of a duration after the highest that its bucket keeps: eight buckets per octave."""


def bucket_of(durations: NDArray[Any]) -> NDArray[np.int16]:
    """Return the bucket of each duration in ns: below 8 the duration itself, then eight for each octave. At most 495."""
    d = durations.astype(np.uint64)
    # Without the second highest bit no conversion to float rounds up to the next power of two.
    exponent = np.frexp((d & ~(d >> np.uint64(1))).astype(np.float64))[1].astype(np.int64) - 1
    octave = np.maximum(exponent - FINE, 0)
    mantissa = (d >> octave.astype(np.uint64)).astype(np.int64)
    return np.where(exponent < FINE, mantissa, (octave << FINE) + mantissa).astype(np.int16)


def bucket_sql(duration: str) -> str:
    """Return the same in DuckDB's SQL, for durations below 2**48 ns (three days), 0 being none: an expression, null for none."""
    exponent = f"floor(log2({duration}))::INTEGER"
    fine = f"(({exponent} - 2) * 8 + (({duration} >> ({exponent} - 3)) & 7))"
    return f"(CASE WHEN {duration} <= 0 THEN NULL WHEN {duration} < 8 THEN {duration} ELSE {fine} END)::SMALLINT"


def middle_of(buckets: NDArray[Any]) -> NDArray[np.int64]:
    """Return the duration in the middle of a bucket: no duration in it differs by more than a sixteenth."""
    b = buckets.astype(np.int64)
    octave = np.maximum((b >> FINE) - 1, 0)
    return np.where(b < 16, b, ((8 + (b & 7)) << octave) + (1 << octave >> 1))


def summary(aggregates: pa.Table, files: pa.Table, tasks: pa.Table, by: str = "file", top: int = 20, *, sort: str = "count") -> pa.Table:
    """Return the ``top`` groups of ``by`` (a word of KEYS) with the most of ``sort`` (a word of FIGURES), then all others in
    one row.

    Columns: those of KEYS except ``start``, ``others`` (true: the last row, whose keys are null), then FIGURES. A key that is
    not known is null, too.
    """
    return of_groups(keyed(aggregates, files, tasks, by), by, top, sort)


def of_groups(table: pa.Table, by: str, top: int, sort: str = "count") -> pa.Table:
    """Return the same from a table made by ``keyed``."""
    result = summarise(table, KEYS[by], top, sort)
    return result.drop_columns(["start"]) if "start" in result.column_names else result


def keyed(aggregates: pa.Table, files: pa.Table, tasks: pa.Table, by: str) -> pa.Table:
    """Return ``aggregates`` with the columns of KEYS, and ``others``: the key is unknown because the row stands for several."""
    table = aggregates.combine_chunks()
    none = pa.array(np.zeros(len(table), bool))
    if by == "op":
        return table.append_column("others", none)
    ids = table["file" if by in ("file", "directory") else "task"]
    dimension = with_directory(files) if by == "directory" else files if by == "file" else tasks
    at = pc.index_in(ids.cast(pa.int64()), dimension["id"].cast(pa.int64()).combine_chunks())
    for name in KEYS[by]:
        table = table.append_column(name, dimension[name].take(at))
    return table.append_column("others", pc.fill_null(pc.equal(ids, OTHERS), False))


def with_directory(files: pa.Table) -> pa.Table:
    """Add ``directory``: the bytes of ``path`` before its last slash; null if there is none."""
    path = files["path"].cast(pa.binary())
    within = pc.replace_substring_regex(path, r"/[^/]*$", "")
    directory = pc.if_else(pc.equal(within, b""), pa.scalar(b"/", pa.binary()), within)
    return files.append_column("directory", pc.if_else(pc.starts_with(path, "/"), directory, pa.scalar(None, pa.binary())))


def summarise(table: pa.Table, keys: Sequence[str], top: int, sort: str = "count") -> pa.Table:
    """Summarise like ``summary``, a table that has any ``keys`` and ``others`` already."""
    table = table.combine_chunks()
    groups, heads = group(table, keys)
    order = ranked(table, groups, len(heads), sort)[:top]
    place = np.full(len(heads) + 1, len(order))
    place[order] = np.arange(len(order))
    places = place[groups]
    result = figures(table, places, len(order) + 1)
    names = table.select(list(keys)).take(pa.array(heads[order]))
    columns = {name: pa.concat_arrays([*names[name].chunks, pa.nulls(1, names[name].type)]) for name in keys}
    others = pa.array(np.arange(len(order) + 1) == len(order))
    whole = pa.table({**columns, "others": others, **result})
    return whole if (places == len(order)).any() else whole.slice(0, len(order))


def group(table: pa.Table, keys: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each row's group, and one row of each group. Rows that stand for several belong to one more group,
    the last."""
    number: NDArray[np.int64] = np.zeros(len(table), np.int64)
    for name in keys:
        codes = pc.dictionary_encode(pc.cast(table[name], table[name].type), null_encoding="encode").combine_chunks().indices.to_numpy()
        number = np.unique(number * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1]
    several = table["others"].to_numpy()
    single = np.nonzero(~several)[0]
    heads, numbers = np.unique(number[single], return_index=True, return_inverse=True)[1:]
    groups = np.full(len(table), len(heads))
    groups[single] = numbers
    return groups, single[heads]


def ranked(table: pa.Table, groups: NDArray[np.int64], count: int, sort: str) -> NDArray[np.int64]:
    """Return the groups, the one with the most of ``sort`` first; among equals the earliest first."""
    found = figures(table, groups, count + 1)
    value = pc.fill_null(found[sort].cast(pa.int64()), -1).to_numpy(zero_copy_only=False)[:count]
    first = pc.fill_null(found["first"].cast(pa.int64()), 0).to_numpy(zero_copy_only=False)[:count]
    return np.lexsort((np.arange(count), first, -value))


def figures(table: pa.Table, groups: NDArray[np.int64], count: int) -> dict[str, pa.Array]:
    """Return FIGURES of each of ``count`` groups; sums are exact."""
    buckets = pc.fill_null(table["bucket"], -1).to_numpy().astype(np.int64)
    order = np.lexsort((buckets, groups))
    groups, buckets = groups[order], buckets[order]
    sums = {name: column(table, name)[order] for name in SUMS}
    there, starts = np.unique(groups, return_index=True)
    result = {name: pa.array(spread(np.add.reduceat(sums[name], starts) if len(starts) else starts, there, count)) for name in SUMS}
    extremes = {name: of.reduceat(column(table, name)[order], starts) if len(starts) else starts for name, of in EXTREMES.items()}
    longest = spread(extremes["max"], there, count)
    result |= percentiles(sums["count"] * (buckets >= 0), groups, buckets, longest)
    result["total"] = pc.if_else(pa.array(longest == 0), pa.scalar(None, pa.int64()), result["total"])
    result["max"] = pa.array(longest, mask=longest == 0)
    missing = np.isin(np.arange(count), there, invert=True)
    result |= {name: pa.array(spread(extremes[name], there, count), mask=missing).cast(TIME) for name in ("first", "last")}
    return {name: result[name] for name in FIGURES}


def column(table: pa.Table, name: str) -> NDArray[np.int64]:
    values: NDArray[np.int64] = table[name].cast(TIME if name in ("first", "last") else pa.int64()).cast(pa.int64()).to_numpy()
    return values


def spread(values: NDArray[np.int64], there: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    whole = np.zeros(count, np.int64)
    whole[there] = values
    return whole


def percentiles(
    counts: NDArray[np.int64], groups: NDArray[np.int64], buckets: NDArray[np.int64], longest: NDArray[np.int64]
) -> dict[str, pa.Array]:
    """Return percentiles by nearest rank, of rows in the order of group and bucket. ``longest``: of each group; the middle of
    a bucket may exceed it."""
    count = len(longest)
    running = np.cumsum(counts)
    ends = np.searchsorted(groups, np.arange(count), "right")
    after = np.concatenate([np.zeros(1, np.int64), running])[ends]
    before = np.concatenate([np.zeros(1, np.int64), after[:-1]])
    known = after - before
    result = {}
    for name, percent in PERCENTILES.items():
        at = np.searchsorted(running, before + -(-known * percent // 100), "left")
        values = middle_of(buckets[np.minimum(at, max(len(buckets) - 1, 0))]) if len(buckets) else np.zeros(count, np.int64)
        result[name] = pa.array(np.minimum(values, longest), mask=known == 0)
    return result
