"""Calls under way in user space: how two listings show the same call, its duration, and the recorded rows.

Separate from tests/kernel/test_pending_calls.py, where calls really wait. What no kernel can be made to do in a test,
such as waiting for hours, is tested here.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.analysis.aggregation import Totals
from filetap.capture import pending
from filetap.capture.outlet import Outlet
from filetap.capture.outlets import Outlets
from filetap.capture.recorded_source import play
from filetap.core import wire
from filetap.core.batch import Batch, Overflow
from filetap.core.calls import CALL_NUMBER, OP_NUMBER
from filetap.core.statistics import Statistics
from filetap.core.wire import AT_LEAST, MICROSECONDS, NO_OFFSET, NO_RESULT, PENDING, Records
from filetap.recording.flight import FlightSink
from filetap.recording.reader import Trace
from filetap.recording.replay import Replay, Wanted
from filetap.recording.writer import TraceSink
from filetap.render.columns import durations
from filetap.report import stats as report
from filetap.sinks.count import CountSink
from filetap.sinks.ndjson import NdjsonSink
from filetap.sinks.table import TableSink, least
from tests.unit.batches import FILE, TASK, batch_of
from tests.unit.ndjson_oracle import decoded, expected_line
from tests.unit.traces import metadata

READ, FLOCK = CALL_NUMBER["read"], CALL_NUMBER["flock"]
WAITING = {"call": READ, "flags": PENDING | NO_RESULT | NO_OFFSET, "duration": 5, "size": 10, "fd": 3}
HUNG = {"call": FLOCK, "flags": PENDING | NO_RESULT | NO_OFFSET | AT_LEAST | MICROSECONDS, "duration": 1_400_000, "fd": 4, "argument": 2}


def calls() -> Batch:
    return batch_of(WAITING, HUNG)


def record(**given: Any) -> Records:
    made = np.zeros(1, wire.PENDING_CALL)
    for name, value in ({"tid": 7, "nr": 0, "instance": 3, "entered": 9} | given).items():
        made[name] = value
    return made


@pytest.mark.parametrize(
    ("later", "timed", "is_same"),
    [
        ({}, False, True),
        ({"instance": 4}, False, False),
        ({"instance": 4}, True, True),
        ({"instance": 4, "entered": 10}, True, False),
        ({"entered": 10}, True, True),
        ({"tid": 8}, True, False),
        ({"nr": 1}, True, False),
        ({"arguments": (1, 0, 0, 0, 0, 0)}, True, False),
        ({"sp": 1}, True, False),
        ({"time": 99, "position": 5, "flags": 4, "file": 6}, False, True),
    ],
)
def test_the_same_call_in_two_listings(later: dict[str, Any], timed: bool, is_same: bool) -> None:
    """It has not left its CPU since, or began at the same moment, whatever other fields have changed."""
    before, after = record(), record(**later)
    assert len(pending.same(before, after, timed)) == is_same
    assert not len(pending.same(before[:0], after, timed))


@given(st.integers(1, 2**50))
def test_long_durations(nanoseconds: int) -> None:
    """To the ns, above 4.29 s to the us, above 71 minutes to the ms: up to 49 days."""
    (made,) = record(entered=10**12, time=10**12 + nanoseconds)
    flags, value = pending.duration(made, 1)
    events = np.zeros(1, wire.EVENT)
    events["flags"], events["duration"] = flags, value
    unit = 1 if nanoseconds < 1 << 32 else 1000 if nanoseconds < 1000 << 32 else 10**6
    assert durations(events)[0] == min(nanoseconds // unit, 2**32 - 1) * unit
    assert not flags & AT_LEAST


def test_one_that_began_before_the_trace_has_waited_as_long_as_that() -> None:
    (made,) = record(entered=0, time=10**10)
    assert pending.duration(made, 4 * 10**9) == (AT_LEAST | MICROSECONDS, 6 * 10**6)
    assert pending.duration(made, 0) == (0, 0), "beginnings are not recorded"


def test_lines_of_json() -> None:
    raw = io.BytesIO()
    sink = NdjsonSink(raw)
    sink.write(batch_of({"call": READ, "result": 4, "fd": 3}))
    sink.pending(calls())
    sink.finish()
    event, *lines = map(decoded, raw.getvalue().splitlines())
    assert (sink.written, event["event"]["action"], "kind" in event["event"]) == (1, "read", False)
    batch = calls()
    plain = [expected_line(row, ext, batch) for row, ext in zip(batch.events, (None, batch.ext[0]), strict=True)]
    assert lines[0] == plain[0] | {"event": {"action": "read", "call": "read", "kind": "pending", "duration": 5}}
    assert lines[1] == plain[1] | {"event": {"action": "lock", "call": "flock", "kind": "pending", "duration_min": 1_400_000_000}}
    assert all("result" not in line["io"] for line in lines)


def test_a_line_of_the_table_is_marked_as_pending() -> None:
    raw = io.BytesIO()
    sink = TableSink(raw)
    sink.pending(calls())
    sink.finish()
    head, one, other = raw.getvalue().decode().splitlines()
    assert one.split()[3:] == ["read", "3", "pending", "-", "10", "5ns", "/etc/hostname"]
    assert other.split()[3:] == ["flock", "4", "pending", "-", "-", ">1.4s", "/etc/hostname"]
    assert one.index("pending") + 7 == other.index("pending") + 7 == head.index("RESULT") + 6
    assert sink.written == 0


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(52_999_999, ">52ms"), (100_000_000, ">0.1s"), (9_999_999_999, ">9.9s"), (10**10, ">10s"), (86_400 * 10**9, ">86400s")],
)
def test_minimum_durations(nanoseconds: int, text: str) -> None:
    assert least(nanoseconds) == text


def test_they_count_as_no_events() -> None:
    sinks = CountSink(), CountSink()
    totals = Totals("file")
    outlets = Outlets([*map(Outlet, sinks), Outlet(totals)])
    outlets.pending(calls())
    assert totals.total.table().num_rows == totals.written == sum(sink.written for sink in sinks) == 0


@pytest.mark.parametrize(
    ("name", "scope", "start", "root", "flags"),
    [
        (b"a", 0, 5, 2, wire.FROM_WANTED),
        (b"/a", 0, 2, 2, wire.START_WANTED),
        (b"/a", pending.RESOLVE_IN_ROOT, 5, 5, wire.FROM_WANTED),
        (b"../a", pending.RESOLVE_BENEATH, 5, 5, wire.FROM_WANTED | wire.BENEATH),
        (b"../a", 1, 5, 2, wire.FROM_WANTED),
        (None, 0, 5, 2, wire.FROM_WANTED),
    ],
)
def test_where_a_name_starts_and_what_it_does_not_leave(name: bytes | None, scope: int, start: int, root: int, flags: int) -> None:
    """From 5, of which children are watched, with the root 2, which is watched itself; 1: RESOLVE_NO_XDEV."""
    given = record(start=5 | pending.FOUND_BELOW, root=2 | pending.FOUND_PATH)[0]
    found = pending.Origin.of(given, "start", name, scope=scope)
    assert (found.start & 0xFFFFFFFF, found.root & 0xFFFFFFFF, found.flags) == (start, root, flags)


def test_the_statistics_have_them_separately() -> None:
    lines = report.as_text(Statistics(pending={"open": 1, "lock": 2})).splitlines()
    assert lines[-2:] == ["no call returned", "3 calls were pending at the end: 1 open, 2 lock"]
    assert report.as_text(Statistics(pending={"open": 1})).splitlines()[-1] == "1 call was pending at the end: 1 open"
    assert report.as_text(Statistics()).splitlines()[-1] == "nothing was seen"
    assert json.loads(report.as_json(Statistics(pending={"open": 1})))["pending"] == {"open": 1}


class Kept(CountSink):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []

    def pending(self, batch: Batch) -> None:
        self.batches.append(batch)


def replayed(folder: Path, wanted: Wanted) -> Kept:
    sink = Kept()
    play(Replay(Trace(folder), wanted), Outlet(sink))
    return sink


def test_a_trace_keeps_them_apart(tmp_path: Path) -> None:
    """Whatever their place in a batch; unchanged; selected by the same filters."""
    sink = TraceSink(tmp_path / "t.tap", metadata())
    sink.pending(calls())
    sink.write(batch_of({"call": READ, "result": 4, "fd": 3}))
    sink.pending(calls())
    sink.aggregated([Overflow(1, 1, OP_NUMBER["read"], 3, 30, 0, 9)], calls())
    sink.finish()
    assert sink.written == 1
    again = replayed(tmp_path / "t.tap", Wanted())
    assert again.written == 1
    kept = np.concatenate([batch.events for batch in again.batches])
    assert (kept == np.concatenate([calls().events] * 2)).all()
    assert (np.concatenate([batch.ext for batch in again.batches]) == np.concatenate([calls().ext] * 2)).all()
    assert again.batches[0].files[1].path == FILE.path
    assert again.batches[0].tasks[1].pid == TASK.pid
    locks = replayed(tmp_path / "t.tap", Wanted(calls=frozenset({FLOCK}), ops=frozenset({"lock"})))
    assert [len(batch.events) for batch in locks.batches] == [2]
    assert not replayed(tmp_path / "t.tap", Wanted(failed=True)).batches
    assert [len(b.events) for b in replayed(tmp_path / "t.tap", Wanted(min_latency=10**9)).batches] == [2]


def leave(folder: str) -> None:
    TraceSink(Path(folder, "t.tap"), metadata()).pending(calls())


def test_a_killed_recorder_leaves_them(tmp_path: Path) -> None:
    code = f"import os; from tests.unit.test_pending import leave; leave({str(tmp_path)!r}); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    trace = Trace(tmp_path / "t.tap")
    assert trace.table("pending").num_rows == 2
    assert not trace.damages


def test_a_flight_recorder_drops_old_ones(tmp_path: Path) -> None:
    now = [0.0]
    sink = FlightSink(tmp_path / "t.tap", metadata(), (60, 1 << 28), log_message=print, now=lambda: now[0])
    sink.pending(calls())
    now[0] = 59.0
    sink.pending(calls())
    now[0] = 61.0
    sink.write(batch_of({"call": READ, "result": 4, "fd": 3}))
    sink.finish()
    trace = Trace(tmp_path / "t.tap")
    assert [trace.table(name).num_rows for name in ("events", "pending")] == [1, 2]
    assert trace.table("pending").schema == pa.schema(trace.table("events").schema)
