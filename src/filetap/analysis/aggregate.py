"""A recording's events as the table AGGREGATES, by SQL: sums by file or task, op and bucket of duration; and over time.

Separate from summary.py, which computes figures from sums of any source. Two passes are quicker than one (docs/adr/0018): the
first finds the groups with the most, the second splits the durations of these alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filetap.analysis import summary
from filetap.analysis.sql import NUMBERS, Database
from filetap.core.columns import BYTES
from filetap.core.errors import UsageError

WORDS: Final = (*summary.KEYS, "call", "trace", "time")
"""The groupings of a recording's summary."""
ID: Final = {"file": "file", "directory": "file", "process": "task", "user": "task", "cgroup": "task"}
"""The id that leads to the group."""
GROUP: Final = {
    "file": "coalesce(d.path_bytes, encode(d.path))",
    "directory": "directory(coalesce(d.path_bytes, encode(d.path))::VARCHAR)",
    "process": f"(number // {NUMBERS}, d.pid, d.start, coalesce(d.command_bytes, encode(d.command)))",
    "user": f"({', '.join(f'd.{name}' for name in summary.USER)})",
    "cgroup": "coalesce(d.cgroup_path_bytes, encode(d.cgroup_path))",
}
"""The expression that ids of one group share; d: their file or task. A blob as text is escaped, and so still exact. Processes of
two recordings are different ones: after a boot, pid and start can come again."""
RANKS: Final = {"count": "sum", "errors": "sum", "bytes": "sum", "total": "sum", "max": "max", "first": "min", "last": "max"}
"""Figures that do not need the buckets, and how they add up."""
SUMS: Final = {
    "count": "count(*)",
    "errors": "count(*) FILTER (e.result < 0)",
    "bytes": f"sum({BYTES})::BIGINT",
    "total": "coalesce(sum(e.duration), 0)::BIGINT",
    "max": "coalesce(max(e.duration), 0)",
    "first": "min(epoch_ns(e.ts))",
    "last": "max(epoch_ns(e.ts))",
}
AGGREGATED: Final = {"count": "e.count::BIGINT", "errors": "0", "bytes": "e.bytes::BIGINT", "total": "0", "max": "0"}
AGGREGATED_TIMES: Final = {"first": "epoch_ns(e.first)", "last": "epoch_ns(e.last)"}
"""Of a row of ``aggregated``: its events have no durations, and it is not known which failed."""
DIMENSIONS: Final = {
    "file": {"path": "coalesce(path_bytes, encode(path))"},
    "task": {
        "pid": "pid",
        "start": "start",
        "command": "coalesce(command_bytes, encode(command))",
        "exe": "coalesce(exe_bytes, encode(exe))",
        **{name: name for name in summary.USER},
        "cgroup_path": "coalesce(cgroup_path_bytes, encode(cgroup_path))",
    },
}
SECOND: Final = 10**9
WIDTHS: Final[list[int]] = [
    *(step * 10**power for power in range(3, 9) for step in (1, 2, 5)),
    *(seconds * SECOND for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)),
    *(days * 86400 * SECOND for days in (1, 2, 7, 14, 28)),
]
"""ns: intervals that are usual on a clock."""
ROWS: Final = 40
"""The maximum number of intervals of a summary over time without a width."""


def summed(database: Database, by: str, top: int = 20, sort: str = "count", width: int | None = None) -> pa.Table:
    """Return the summary of all recordings. ``by``: a word of WORDS. ``width``: of an interval of time, ns."""
    require(by, top, sort, width)
    if by == "time":
        return over_time(database, width)
    if by == "call":
        return over_calls(database, top, sort)
    if by == "trace":
        return over_traces(database, top, sort)
    files, tasks = summary.FILES.empty_table(), summary.TASKS.empty_table()
    if by == "op":
        return summary.summary(aggregates(database, "e.op AS op", group="op"), files, tasks, by, top, sort=sort)
    kind = ID[by]
    database.run(f"CREATE OR REPLACE TEMP TABLE heads AS {heads(database, by, top, sort)}")
    found = aggregates(database, f"coalesce(h.head, {summary.OTHERS}) AS {kind}", "LEFT JOIN heads h USING (number)", kind)
    named = database.table(
        f"SELECT number AS id, * EXCLUDE (number) FROM ({dimension(database, kind)}) WHERE number IN (SELECT head FROM heads)"
    )
    if by == "process" and len(database.traces) > 1:
        return over_processes(database, summary.keyed(found, files, named, by), top, sort)
    return summary.summary(found, named if kind == "file" else files, named if kind == "task" else tasks, by, top, sort=sort)


def require(by: str, top: int, sort: str, width: int | None) -> None:
    """Raise UsageError for arguments that mean nothing."""
    for name, word, words in (("by", by, WORDS), ("sort", sort, summary.FIGURES)):
        if word not in words:
            raise UsageError(f"{name} {word!r}: give one of {', '.join(words)}")
    if top < 1:
        raise UsageError(f"top {top}: give a number of rows above 0")
    if width is not None and (by != "time" or not 0 < width < 1 << 63):
        raise UsageError(f"width {width}: give a number of nanoseconds from 1 to 2**63 - 1, and by 'time'")


def numbered(database: Database, source: str, kind: str) -> str:
    """Return a source of all recordings with the number of each row's file or task: ids of different recordings never
    collide."""
    parts = [
        f"SELECT *, coalesce({kind}, 0)::BIGINT + {place * NUMBERS} AS number FROM trace{place}.{source}"
        for place in range(len(database.traces))
    ]
    return f"({' UNION ALL '.join(parts)})"


def dimension(database: Database, kind: str) -> str:
    """Return files or tasks of all recordings by that number."""
    columns = ", ".join(f"{sql} AS {name}" for name, sql in DIMENSIONS[kind].items())
    return f"SELECT number, {columns} FROM {numbered(database, f'{kind}_names', 'id')}"


def heads(database: Database, by: str, top: int, sort: str) -> str:
    """Map ``number`` to ``head``, one number for all of a group, of the groups with the most. By buckets: of all groups."""
    kind, how = ID[by], RANKS.get(sort, "sum")
    figure = sort if sort in RANKS else "count"
    single = f"SELECT number, {SUMS[figure]} AS value, {SUMS['first']} AS first FROM {numbered(database, 'events', kind)} e GROUP BY number"
    sums = AGGREGATED | AGGREGATED_TIMES
    aggregated = f"SELECT number, {sums[figure]}, {sums['first']} FROM {numbered(database, 'aggregated', kind)} e"
    return f"""
        WITH sums AS (SELECT number, {how}(value) AS value, min(first) AS first FROM ({single} UNION ALL {aggregated}) GROUP BY number),
        keyed AS (SELECT s.*, {GROUP[by]} AS key FROM sums s LEFT JOIN {numbered(database, f"{kind}_names", "id")} d USING (number)),
        ranked AS (SELECT key, min(number) AS head, {how}(value) AS value, min(first) AS first FROM keyed GROUP BY key
                   ORDER BY value DESC, first, head {f"LIMIT {top}" if sort in RANKS else ""})
        SELECT k.number, r.head FROM keyed k JOIN ranked r ON k.key IS NOT DISTINCT FROM r.key"""


def aggregates(database: Database, key: str, join: str = "", group: str = "op") -> pa.Table:
    """Return AGGREGATES by one of its keys."""
    kind = group if group in DIMENSIONS else "file"
    events, aggregated = (f"{numbered(database, source, kind)} e {join}" for source in ("events", "aggregated"))
    found = database.table(
        f"SELECT {key}, {buckets()} FROM {events} GROUP BY ALL UNION ALL BY NAME SELECT {key}, {overflows()} FROM {aggregated}"
    )
    return in_form(found)


def buckets() -> str:
    """Return SQL for the figures of events by bucket."""
    figures = ", ".join(f"{sql} AS {name}" for name, sql in SUMS.items())
    return f"{summary.bucket_sql('coalesce(e.duration, 0)')} AS bucket, {figures}"


def overflows() -> str:
    return "NULL::SMALLINT AS bucket, " + ", ".join(f"{sql} AS {name}" for name, sql in (AGGREGATED | AGGREGATED_TIMES).items())


def in_form(found: pa.Table) -> pa.Table:
    """Return the table in the columns of AGGREGATES."""
    columns = [
        found[field.name].cast(pa.int64()).cast(field.type)
        if pa.types.is_timestamp(field.type)
        else found[field.name].cast(field.type)
        if field.name in found.column_names
        else pa.nulls(len(found), field.type)
        for field in summary.AGGREGATES
    ]
    return pa.table(columns, schema=summary.AGGREGATES)


def over_calls(database: Database, top: int, sort: str) -> pa.Table:
    """Return the summary by call. Aggregated rows have only the operation: their ``call`` is null."""
    events, aggregated = (numbered(database, source, "file") for source in ("events", "aggregated"))
    single = f"SELECT e.call::VARCHAR AS call, e.op::VARCHAR AS op, {buckets()} FROM {events} e GROUP BY ALL"
    found = database.table(f"{single} UNION ALL BY NAME SELECT e.op::VARCHAR AS op, {overflows()} FROM {aggregated} e")
    return summary.summarise(keyed(found, "call"), ["call", "op"], top, sort)


def keyed(found: pa.Table, key: str) -> pa.Table:
    """Return the columns of AGGREGATES, with another key, and ``others``: none of these rows stands for several."""
    return in_form(found).append_column(key, found[key]).append_column("others", pa.array(np.zeros(len(found), bool)))


def over_traces(database: Database, top: int, sort: str) -> pa.Table:
    """Return the summary by recording, each with its label."""
    events, aggregated = (numbered(database, source, "file") for source in ("events", "aggregated"))
    single = f"SELECT e.label::VARCHAR AS label, {buckets()} FROM {events} e GROUP BY ALL"
    found = database.table(f"{single} UNION ALL BY NAME SELECT e.label::VARCHAR AS label, {overflows()} FROM {aggregated} e")
    result = summary.summarise(keyed(found, "label"), ["label"], top, sort)
    traces = {one.label: one for one in database.named}
    known = [traces.get(label) for label in result["label"].to_pylist()]
    columns = {
        "host": pa.array([one and one.host for one in known], pa.string()),
        "began": pa.array([one and one.began * 1000 for one in known], pa.int64()).cast(summary.TIME),
        "command": pa.array([one and one.command for one in known], pa.string()),
    }
    for place, (name, column) in enumerate(columns.items(), 1):
        result = result.add_column(place, name, column)
    return result


def over_processes(database: Database, table: pa.Table, top: int, sort: str) -> pa.Table:
    """Return the summary by process of several recordings, with the label of its recording. ``table``: from ``keyed``."""
    labels = pa.array([one.label for one in database.named])
    place = pc.if_else(pc.equal(table["task"], summary.OTHERS), None, pc.divide(table["task"], NUMBERS))
    table = table.append_column("label", labels.take(place))
    return summary.summarise(table, ["label", *summary.KEYS["process"]], top, sort).drop_columns(["start"])


def over_time(database: Database, width: int | None = None) -> pa.Table:
    """Return all intervals with events, in order. Aggregated rows count where they ended."""
    step = width or sensible(*span(database))
    key = "{time} // {step} * {step} AS time"
    events, aggregated = (numbered(database, source, "file") for source in ("events", "aggregated"))
    single = f"SELECT {key.format(time='epoch_ns(e.ts)', step=step)}, {buckets()} FROM {events} e GROUP BY ALL"
    more = f"SELECT {key.format(time='epoch_ns(e.last)', step=step)}, {overflows()} FROM {aggregated} e"
    found = database.table(f"{single} UNION ALL BY NAME {more}")
    table = keyed(found, "time")
    result = summary.summarise(table, ["time"], len(table)).sort_by("time")
    return result.set_column(0, "time", result["time"].cast(summary.TIME))


def span(database: Database) -> tuple[int, int]:
    """Return the first and last time, ns."""
    times = database.table(
        "SELECT coalesce(min(first), 0) AS first, coalesce(max(last), 0) AS last FROM ("
        "SELECT min(epoch_ns(ts)) AS first, max(epoch_ns(ts)) AS last FROM recorded.events "
        "UNION ALL SELECT min(epoch_ns(first)), max(epoch_ns(last)) FROM recorded.aggregated)"
    )
    return int(times["first"][0].as_py()), int(times["last"][0].as_py())


def sensible(first: int, last: int) -> int:
    """Return the narrowest of WIDTHS that makes no more than ROWS intervals."""
    return next((width for width in WIDTHS if last // width - first // width < ROWS), WIDTHS[-1])


def spelled(table: pa.Table) -> pa.Table:
    """Return names as text, with the exact bytes in a second column where they are not UTF-8; as in other tables."""
    columns: dict[str, pa.Array] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        columns[name] = column
        if pa.types.is_binary(column.type):
            exact = column.to_pylist()
            names = [value if value is None else value.decode(errors="replace") for value in exact]
            columns[name] = pa.array(names, pa.string())
            odd = [value if text is not None and value != text.encode() else None for value, text in zip(exact, names, strict=True)]
            columns[f"{name}_bytes"] = pa.array(odd, pa.binary())
    return pa.table(columns)
