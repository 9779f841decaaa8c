"""Summaries of a recorded trace, against simple sums over its events.

Separate from test_summary.py, which has no trace. The oracle goes through the written batches, event by event.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filetap.analysis import aggregate, summary
from filetap.analysis.sql import Database, open_traces
from filetap.core.batch import Batch, Credentials, File, Overflow, Task
from filetap.core.calls import CALLS, OP_NUMBER
from filetap.core.wire import NO_RESULT
from filetap.recording.retention import Limits
from filetap.recording.writer import TraceSink
from tests.unit.batches import batch_of
from tests.unit.test_summary import Event, check, directory, rows_of
from tests.unit.traces import metadata

SETTINGS = settings(max_examples=20, deadline=None)
MOVES = "read write sendfile splice tee vmsplice copy_file_range".split()
NAMES = [b"/a/x", b"/a/y\xff", b"/a/\xff/z", b"/x", b"/a/b\n/z", b"pipe:[7]", b"/", b"", b"/a\\xFF/z"]
FILES = tuple(File(number + 1, path) for number, path in enumerate([*NAMES, b"/a/x"]))
TASKS = tuple(
    replace(Task(number + 1, pid, pid, comm, comm), start=start, credentials=user, cgroup_path=group)
    for number, (pid, comm, start, user, group) in enumerate(
        [
            (10, b"git", 5, Credentials(user_name="root"), b"/one"),
            (10, b"git", 9, Credentials(euid=7, egid=8), b"/one"),
            (11, b"t\xff", 5, Credentials(euid=7, egid=8), b"/two"),
            (10, b"git", 5, Credentials(euid=7, uid=None, egid=None, loginuid=1000, audit_user_name="alice"), b"\xff"),
        ]
    )
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.integers(0, 10**10),
            "call": st.sampled_from([number for number, call in enumerate(CALLS) if call.name in ("read", "write", "openat", "sendfile")]),
            "result": st.integers(-4095, 1 << 40),
            "duration": st.just(0) | st.integers(1, 40) | st.integers(1, 2**32 - 1),
            "file": st.integers(0, len(FILES) + 1),
            "task": st.integers(0, len(TASKS) + 1),
            "flags": st.sampled_from([0, 0, 0, 2, NO_RESULT]),
        }
    ),
    max_size=40,
)
OVERFLOWS = st.lists(
    st.builds(
        Overflow, st.integers(0, 5), st.integers(0, 11), st.sampled_from([OP_NUMBER["read"], OP_NUMBER["open"]]), st.integers(1, 9),
        st.integers(0, 99), st.integers(0, 10**9), st.integers(10**9, 10**10),
    ),
    max_size=4,
)  # fmt: skip


def touches(batch: Batch) -> list[Event]:
    """Return the oracle's events; ``op`` and ids as they are."""
    found = []
    for event in batch.events:
        op, none = CALLS[event["call"]].op, event["flags"] & NO_RESULT
        result = 0 if none else int(event["result"])
        duration = int(event["duration"]) * (1000 if event["flags"] & 2 else 1)
        moved = result if result < 0 or op in MOVES else 0
        found.append(Event(int(event["file"]), int(event["task"]), op, duration, moved, int(event["time"]) + batch.realtime))
    return found


def key_of(event: Event, by: str) -> tuple[object, ...]:
    file = FILES[event.file - 1].path or None if 0 < event.file <= len(FILES) else None
    task = TASKS[event.task - 1] if 0 < event.task <= len(TASKS) else None
    keys = {
        "file": (file,),
        "directory": (directory(file),),
        "op": (event.op,),
        "process": (task.pid, task.comm, task.start) if task else (None, None, None),
        "user": user_of(task.credentials) if task else (None,) * 10,
        "cgroup": (task.cgroup_path if task else None,),
    }
    return keys[by]


def user_of(c: Credentials) -> tuple[object, ...]:
    names = (c.user_name, c.group_name, c.real_user_name, c.real_group_name, c.audit_user_name)
    ids = (c.euid, c.egid, c.uid, c.gid, c.loginuid)
    return tuple(value for number, name in zip(ids, names, strict=True) for value in (number, name or None))


def write(folder: Path, batch: Batch, overflows: list[Overflow], uuid: str = "u") -> Path:
    sink = TraceSink(folder, metadata(uuid=uuid), Limits(rows=15))
    for start in range(0, len(batch.events), 7):
        sink.write(batch.portion(start, start + 7))
    sink.aggregated(overflows, batch)
    sink.close()
    return folder


def summed(*folders: Path, **words: Any) -> pa.Table:
    database = Database(open_traces(folders))
    try:
        return aggregate.summed(database, **words)
    finally:
        database.close()


def shown_key(key: tuple[object, ...], by: str) -> tuple[object, ...]:
    """``start`` is compared, but never shown."""
    return key[:2] if by == "process" else key


def same(rows: list[dict[str, Any]], events: list[Event], by: str, top: int) -> None:
    groups: dict[Any, list[Event]] = defaultdict(list)
    for event in events:
        groups[key_of(event, by)].append(event)
    reported = [row for row in rows if not row["others"]]
    assert len(reported) == min(top, len(groups))
    assert [row["count"] for row in reported] == sorted(map(len, groups.values()), reverse=True)[:top]
    for row in reported:
        names = [name for name in summary.KEYS[by] if name != "start"]
        alike = [key for key in groups if shown_key(key, by) == tuple(row[name] for name in names)]
        (key,) = [key for key in alike if figures(groups[key]) == figures_of(row)][:1]
        check(row, groups.pop(key))
    left = [event for rest in groups.values() for event in rest]
    assert [row["others"] for row in rows[len(reported) :]] == [True] * bool(left)
    if left:
        check(rows[-1], left)


def figures(events: list[Event]) -> tuple[int | None, ...]:
    return len(events), sum(e.duration for e in events) or None, min(e.time for e in events), max(e.time for e in events)


def figures_of(row: dict[str, Any]) -> tuple[int, ...]:
    return row["count"], row["total"], row["first"], row["last"]


@SETTINGS
@given(ROWS, st.sampled_from(sorted(summary.KEYS)), st.integers(1, 6))
def test_against_lists(rows: list[dict[str, int]], by: str, top: int) -> None:
    batch = batch_of(*rows, files=FILES, tasks=TASKS)
    with tempfile.TemporaryDirectory() as folder:
        found = summed(write(Path(folder, "t.tap"), batch, []), by=by, top=top)
    same(rows_of(found), touches(batch), by, top)


@SETTINGS
@given(ROWS, ROWS, st.sampled_from(sorted(summary.KEYS.keys() - {"process"})))
def test_two_traces_are_one(first: list[dict[str, int]], second: list[dict[str, int]], by: str) -> None:
    batches = [batch_of(*rows, files=FILES, tasks=TASKS) for rows in (first, second)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [write(Path(folder, f"{n}.tap"), batch, [], uuid=str(n)) for n, batch in enumerate(batches)]
        found = summed(*paths, by=by, top=4)
    same(rows_of(found), [event for batch in batches for event in touches(batch)], by, 4)


@SETTINGS
@given(ROWS, ROWS)
def test_processes_of_two_traces_are_not_one(first: list[dict[str, int]], second: list[dict[str, int]]) -> None:
    """After a boot, a pid and the time of a start since then can come again."""
    batches = {str(n): batch_of(*rows, files=FILES, tasks=TASKS) for n, rows in enumerate((first, second))}
    with tempfile.TemporaryDirectory() as folder:
        paths = [write(Path(folder, f"{n}.tap"), batch, [], uuid=n) for n, batch in batches.items()]
        found = rows_of(summed(*paths, by="process", top=99))
    assert {row["label"] for row in found} <= batches.keys()
    for label, batch in batches.items():
        same([row for row in found if row["label"] == label], touches(batch), "process", 99)


def test_the_rest_of_two_traces_has_no_label(tmp_path: Path) -> None:
    batches = [batch_of(*({"task": task} for task in (1, 1, *range(1, n))), files=FILES, tasks=TASKS) for n in (2, 4)]
    paths = [write(tmp_path / f"{n}.tap", batch, [], uuid=str(n)) for n, batch in enumerate(batches)]
    rows = [(row["label"], row["pid"], row["count"]) for row in rows_of(summed(*paths, by="process", top=2))]
    assert sorted(rows[:2]) == [("0", 10, 3), ("1", 10, 3)]
    assert rows[2:] == [(None, None, 2)]


@SETTINGS
@given(ROWS, OVERFLOWS, st.sampled_from(sorted(summary.KEYS)))
def test_aggregated_events_count(rows: list[dict[str, int]], overflows: list[Overflow], by: str) -> None:
    batch = batch_of(*rows, files=FILES, tasks=TASKS)
    with tempfile.TemporaryDirectory() as folder:
        found = rows_of(summed(write(Path(folder, "t.tap"), batch, overflows), by=by, top=3))
    events = touches(batch)
    assert sum(row["count"] for row in found) == len(events) + sum(overflow.count for overflow in overflows)
    assert sum(row["bytes"] for row in found) == sum(max(e.result, 0) for e in events) + sum(overflow.bytes for overflow in overflows)
    assert sum(row["errors"] for row in found) == sum(e.result < 0 for e in events)
    times = [e.time for e in events] + [time + batch.realtime for overflow in overflows for time in (overflow.first, overflow.last)]
    assert min((row["first"] for row in found), default=0) == min(times, default=0)
    assert max((row["last"] for row in found), default=0) == max(times, default=0)


@SETTINGS
@given(ROWS, st.integers(1, 3 * 10**9))
def test_over_time(rows: list[dict[str, int]], width: int) -> None:
    batch = batch_of(*rows, files=FILES, tasks=TASKS)
    with tempfile.TemporaryDirectory() as folder:
        table = summed(write(Path(folder, "t.tap"), batch, []), by="time", width=width)
    found = rows_of(table.set_column(0, "time", table["time"].cast(pa.int64())))
    groups: dict[int, list[Event]] = defaultdict(list)
    for event in touches(batch):
        groups[event.time // width * width].append(event)
    assert [row["time"] for row in found] == sorted(groups)
    for row in found:
        check(row, groups[row["time"]])


@pytest.mark.parametrize("sort", summary.FIGURES)
def test_any_figure_first(tmp_path: Path, sort: str) -> None:
    call = next(number for number, call in enumerate(CALLS) if call.name == "read")
    rows = [{"time": n, "call": call, "result": n * 7 % 11 - 3, "duration": n * n * 1000, "file": 1 + n % 4, "task": 1} for n in range(40)]
    folder = write(tmp_path / "t.tap", batch_of(*rows, files=FILES, tasks=TASKS), [])
    every, some = (rows_of(summed(folder, by="file", top=top, sort=sort)) for top in (10, 2))
    assert [row[sort] for row in every] == sorted((row[sort] for row in every), reverse=True)
    assert every[:2] == some[:2]


WIDTHS = {0: 1000, 30: 10**9, 39: 10**9, 41: 2 * 10**9, 3600: 120 * 10**9, 86400: 3600 * 10**9}


@pytest.mark.parametrize(("seconds", "width"), WIDTHS.items())
def test_sensible_widths(seconds: int, width: int) -> None:
    assert aggregate.sensible(0, seconds * 10**9) == width
