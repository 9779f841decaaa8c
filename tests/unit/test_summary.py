"""Summaries against simple sums over lists of single events."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.analysis import summary
from filetap.analysis.summary import AGGREGATES, FILES, KEYS, TASKS
from filetap.core.zone import Zone
from filetap.report import summary as report


class Event(NamedTuple):
    file: int
    task: int
    op: str
    duration: int
    """0: unknown."""
    result: int
    time: int


PATHS = {1: b"/a/x", 2: b"/a/y\xff", 3: b"/x", 4: b"/a/b\n/z", 5: b"pipe:[7]", 6: b"/a/x", 7: b"/"}
ROOT = (0, "root", 0, "root", 0, "root", 0, "root", None, None)
SEVEN = (7, None, 7, None, 7, None, 7, None, None, None)
SUDO = (0, "root", 0, "root", 0, "root", 0, "root", 1000, "alice")
"""Fields of analysis.summary.USER."""
PEOPLE = {
    1: (10, 5, b"git", b"/bin/git", *ROOT, b"/one"),
    2: (10, 9, b"git", b"/bin/git", *SEVEN, b"/one"),
    3: (11, 5, b"tar\x1b", b"/bin/tar", *SEVEN, b"/two"),
    4: (10, 5, b"git", b"/bin/git", *SUDO, b"/two"),
}
FILE_TABLE = pa.table({"id": list(PATHS), "path": list(PATHS.values())}, FILES)
TASK_TABLE = pa.table([list(PEOPLE), *(list(column) for column in zip(*PEOPLE.values(), strict=True))], schema=TASKS)

DURATIONS = st.one_of(st.just(0), st.integers(1, 40), st.integers(1, 1 << 45))
EVENTS = st.lists(
    st.builds(
        Event,
        file=st.integers(0, 9) | st.just(summary.OTHERS),
        task=st.integers(0, 5) | st.just(summary.OTHERS),
        op=st.sampled_from(["read", "write", "open"]),
        duration=DURATIONS,
        result=st.integers(-5, 1 << 40),
        time=st.integers(0, 1 << 60),
    ),
    max_size=60,
)


def by_hand(duration: int) -> int | None:
    """Return the bucket, calculated from the digits."""
    if not duration:
        return None
    digits = f"{duration:b}"
    return duration if len(digits) <= 3 else (len(digits) - 3) * 8 + int(digits[1:4], 2)


def aggregated(events: list[Event], split: bool = False) -> pa.Table:
    """Return a row per key; ``split``: a row per event."""
    rows: dict[Any, list[Event]] = defaultdict(list)
    for number, event in enumerate(events):
        rows[event.file, event.task, event.op, by_hand(event.duration), number * split].append(event)
    columns = [
        [key[:4] for key in rows],
        [
            (
                len(found),
                sum(e.result < 0 for e in found),
                sum(max(e.result, 0) for e in found),
                sum(e.duration for e in found),
                max(e.duration for e in found),
                min(e.time for e in found),
                max(e.time for e in found),
            )
            for found in rows.values()
        ],
    ]
    cells = [(*key, *sums) for key, sums in zip(*columns, strict=True)]
    return pa.table([list(column) for column in zip(*cells, strict=True)] or [[] for _ in AGGREGATES], schema=AGGREGATES)


def directory(path: bytes | None) -> bytes | None:
    return path[: path.rindex(b"/")] or b"/" if path and path.startswith(b"/") else None


def key_of(event: Event, by: str) -> tuple[object, ...] | None:
    """None: several keys in one."""
    path, task = PATHS.get(event.file), PEOPLE.get(event.task, (None,) * 15)
    if by in ("file", "directory") and event.file == summary.OTHERS:
        return None
    if by in ("process", "user", "cgroup") and event.task == summary.OTHERS:
        return None
    whole = {"file": (path,), "directory": (directory(path),), "op": (event.op,)}
    return tuple((whole | {"process": task[:3], "user": task[4:14], "cgroup": task[14:]})[by])


def rank(durations: list[int], percent: int) -> int | None:
    if not durations:
        return None
    return sorted(durations)[ceil(Fraction(percent * len(durations), 100)) - 1]


def close(shown: int | None, true: int | None) -> bool:
    if shown is None or true is None:
        return shown is true
    return abs(shown - true) * 16 <= true


def check(row: dict[str, Any], events: list[Event]) -> None:
    durations = [event.duration for event in events if event.duration]
    assert row["count"] == len(events)
    assert row["errors"] == sum(event.result < 0 for event in events)
    assert row["bytes"] == sum(max(event.result, 0) for event in events)
    assert row["total"] == (sum(durations) or None)
    for name, percent in summary.PERCENTILES.items():
        assert close(row[name], rank(durations, percent)), name
        assert (row[name] or 0) <= (row["max"] or 0), name
    assert row["max"] == max(durations, default=None), "exact"
    assert row["first"] == min(event.time for event in events)
    assert row["last"] == max(event.time for event in events)


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    for name in ("first", "last"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


@given(EVENTS, st.sampled_from(sorted(KEYS)), st.integers(0, 6), st.booleans())
def test_against_lists(events: list[Event], by: str, top: int, split: bool) -> None:
    table = summary.keyed(aggregated(events, split), FILE_TABLE, TASK_TABLE, by)
    rows = rows_of(summary.summarise(table, KEYS[by], top))
    groups: dict[Any, list[Event]] = defaultdict(list)
    for event in events:
        groups[key_of(event, by)].append(event)
    rest = groups.pop(None, [])
    reported = [row for row in rows if not row["others"]]
    for row in reported:
        check(row, groups.pop(tuple(row[name] for name in KEYS[by])))
    assert [row["count"] for row in reported] == sorted((row["count"] for row in reported), reverse=True)
    assert len(reported) == top or not groups
    assert not reported or all(len(found) <= reported[-1]["count"] for found in groups.values())
    left = sum(groups.values(), rest)
    assert [row["others"] for row in rows[len(reported) :]] == [True] * bool(left)
    if left:
        check(rows[-1], left)
        assert all(rows[-1][name] is None for name in KEYS[by])


@pytest.mark.parametrize("sort", summary.FIGURES)
def test_sorted_by_any_figure(sort: str) -> None:
    events = [Event(1 + n % 4, 1, "read", n * n * 1000, n * 7 % 11 - 3, n) for n in range(40)]
    found = rows_of(summary.summary(aggregated(events), FILE_TABLE, TASK_TABLE, "file", 10, sort=sort))
    values = [row[sort] for row in found]
    assert values == sorted(values, reverse=True)


def test_start_distinguishes_processes_and_is_not_shown() -> None:
    events = [Event(1, 1, "read", 5, 1, 1), Event(1, 2, "read", 5, 1, 1), Event(1, 4, "read", 5, 1, 1)]
    found = summary.summary(aggregated(events), FILE_TABLE, TASK_TABLE, "process")
    assert found.column_names[:3] == ["pid", "command", "others"]
    assert found["count"].to_pylist() == [2, 1]


def test_sums_beyond_the_precision_of_a_double() -> None:
    events = [Event(1, 1, "read", 1, (1 << 60) + 1, 1), Event(1, 1, "read", 1, 1, 1)]
    assert summary.summary(aggregated(events), FILE_TABLE, TASK_TABLE)["bytes"].to_pylist() == [(1 << 60) + 2]


def test_nothing_gives_nothing() -> None:
    for by in KEYS:
        assert summary.summary(AGGREGATES.empty_table(), FILES.empty_table(), TASKS.empty_table(), by).num_rows == 0


@given(st.lists(st.integers(1, (1 << 64) - 1) | st.integers(1, 64).map(lambda bit: (1 << bit) - 1), min_size=1))
def test_buckets(durations: list[int]) -> None:
    buckets = summary.bucket_of(np.array(durations, np.uint64))
    assert buckets.tolist() == [by_hand(duration) for duration in durations]
    for bucket, duration in zip(buckets.tolist(), durations, strict=True):
        if duration < 1 << 62:
            assert close(int(summary.middle_of(np.array([bucket]))[0]), duration)


def test_buckets_in_sql() -> None:
    edges = {(1 << bit) + step for bit in range(48) for step in (-1, 0, 1)} | set(range(5000))
    durations = np.array(sorted(edges - {(1 << 48) + 1, -1}), np.int64)
    table = pa.table({"d": durations})
    with duckdb.connect() as connection:
        connection.register("durations", table)
        found = connection.execute(f"SELECT {summary.bucket_sql('d')} FROM durations ORDER BY d").fetchall()
    assert [bucket for (bucket,) in found] == [by_hand(duration) for duration in durations.tolist()]


def test_report() -> None:
    events = [Event(2, 1, "read", 1410, 4096, 10**9), Event(4, 3, "read", 0, -2, 2 * 10**9), Event(0, 9, "open", 12, 3, 3 * 10**9)]
    text = report.as_text(summary.summary(aggregated(events), FILE_TABLE, TASK_TABLE, "file", 2), zone=Zone(utc=True))
    head, *lines = text.splitlines()
    assert head.split() == "COUNT ERRORS BYTES TIME P50 P90 P99 MAX FIRST UTC LAST UTC PATH".split()
    assert lines[0].split()[:9] == ["1", "0", "4.0", "KiB", *["1.41us"] * 5], "no percentile exceeds the maximum"
    assert lines[0].endswith(" /a/y\\xff")
    assert lines[1].endswith(" /a/b\\n/z")
    assert lines[1].split()[2:7] == ["-", "-", "-", "-", "-"]
    assert lines[2].endswith(" (others)")
    assert "tar\\x1b" in report.as_text(summary.summary(aggregated(events), FILE_TABLE, TASK_TABLE, "process"))


USER_TEXTS = {
    "root:root": ROOT,
    "7:7": SEVEN,
    "root:root (login alice)": SUDO,
    "postgres:postgres (real root:root)": (101, "postgres", 103, "postgres", *ROOT[4:]),
    "root:root (real alice:alice, login 1001)": (*ROOT[:4], 1000, "alice", 1000, "alice", 1001, None),
    "alice:wheel (real alice:alice)": (1000, "alice", 10, "wheel", 1000, "alice", 1000, "alice", 1000, "alice"),
    "1234": (1234, None, None, None, 1234, None, 0, None, None, None),
    "1234 (real 0)": (1234, None, None, None, 0, None, None, None, None, None),
    "33": (33, *(None,) * 9),
    "-": (None,) * 10,
    "a\\x1b:g\\\\": (5, "a\x1b", 6, "g\\", 5, "a\x1b", 6, "g\\", 5, "a\x1b"),
}
"""Users and how they are shown. The last are of a task without a definition, of old traces, and of hostile names."""


@pytest.mark.parametrize("text", USER_TEXTS)
def test_a_user_as_text(text: str) -> None:
    table = pa.table(
        {name: [value] for name, value in zip(summary.USER, USER_TEXTS[text], strict=True)} | {"others": [False], "count": [3]}
    )
    head, line = report.as_text(table).splitlines()
    assert head.split() == ["COUNT", "USER"]
    assert line.split(None, 1) == ["3", text]


@given(st.integers(0, 1 << 62))
def test_durations_as_text(nanoseconds: int) -> None:
    text = report.duration(nanoseconds)
    unit = next(unit for unit in ("ns", "us", "ms", "s") if text.endswith(unit))
    shown = Fraction(text.removesuffix(unit)) * {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}[unit]
    assert 0 <= nanoseconds - shown < max(Fraction(nanoseconds, 100), Fraction(1))
