"""seen = delivered + aggregated + lost, whatever the counters are; and the statistics as text and JSON.

Separate from tests/kernel and e2e, where a kernel counts. The oracle is a loop over single events.
"""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.capture.statistics import Tally, balance, kernel_notes
from filetap.core import wire
from filetap.core.batch import Overflow
from filetap.core.calls import CALL_NUMBER, CALLS, OP_NUMBER, OPS
from filetap.core.statistics import OpStatistics, Statistics
from filetap.core.wire import Records
from filetap.report import stats as report

CPUS = 3
OP = OP_NUMBER
BYTES = {"read", "write", "sendfile", "splice", "tee", "vmsplice", "copy_file_range"}
NOTHING = np.zeros(wire.MAX_OPS, np.int64)
NUMBERS = range(1, len(CALLS))


def counters(**counts: dict[str, list[int]]) -> Records:
    """Return one record per CPU; a field of ``seen``, ``aggregated`` and ``lost`` per op."""
    made = np.zeros(CPUS, wire.COUNTERS)
    for name, ops in counts.items():
        for op, values in ops.items():
            made[name][:, OP[op]] = values
    return made


def events(*rows: tuple[int, int]) -> Records:
    """Return events with these calls and results."""
    made = np.zeros(len(rows), wire.EVENT)
    for event, (call, result) in zip(made, rows, strict=True):
        event["call"], event["result"] = call, result
    return made


def tallied(*rows: tuple[int, int]) -> Tally:
    tally, made = Tally(), events(*rows)
    tally.add(made["call"], made["result"])
    return tally


READ, PREAD, WRITE, OPEN = (CALL_NUMBER[name] for name in ("read", "pread64", "write", "openat"))


def test_nothing_seen_is_an_empty_table() -> None:
    assert balance(counters(), Tally(), [], NOTHING) == {}


def test_cpus_are_summed_by_op() -> None:
    ops = balance(counters(seen={"read": [1, 0, 2], "open": [0, 1, 0]}), tallied((READ, 5), (PREAD, 7), (READ, -9), (OPEN, 3)), [], NOTHING)
    assert ops == {"read": OpStatistics(3, 3, 0, 0, 12, 1), "open": OpStatistics(1, 1, 0, 0, 0, 0)}


def test_aggregated_and_lost() -> None:
    overflows = [Overflow(1, 1, OP["read"], 3, 30, 0, 9), Overflow(1, 2, OP["read"], 1, 4, 0, 9)]
    seen = counters(seen={"read": [10, 0, 0]}, aggregated={"read": [3, 1, 0]}, lost={"read": [0, 0, 4]})
    assert balance(seen, tallied((READ, 1), (READ, 1)), overflows, NOTHING) == {"read": OpStatistics(10, 2, 4, 4, 36, 0)}


def test_filtered_events_are_not_counted() -> None:
    dropped = NOTHING.copy()
    dropped[OP["open"]] = 2
    assert balance(counters(seen={"open": [3, 0, 0]}), tallied((OPEN, -2)), [], dropped) == {"open": OpStatistics(1, 1, 0, 0, 0, 1)}
    dropped[OP["open"]] = 3
    assert balance(counters(seen={"open": [3, 0, 0]}), Tally(), [], dropped) == {}


@given(
    st.lists(st.tuples(st.sampled_from(list(NUMBERS)), st.integers(-4095, 2**40)), max_size=40),
    st.lists(st.integers(0, 5), max_size=8),
    st.integers(0, 20),
)
def test_it_balances(rows: list[tuple[int, int]], aggregated: list[int], lost: int) -> None:
    """Whatever was delivered, aggregated and lost: the sums match a loop over single events."""
    extra = counters(aggregated={"write": [sum(aggregated), 0, 0]})
    seen = Counter(CALLS[call].op for call, _ in rows)
    seen["write"] += sum(aggregated) + lost
    for op, count in seen.items():
        extra["seen"][:, OP[op]] = [count - count // 2, count // 2, 0]
    overflows = [Overflow(1, 1, OP["write"], count, 10 * count, 0, 1) for count in aggregated]
    ops = balance(extra, tallied(*rows), overflows, NOTHING)
    for op, row in ops.items():
        results = [result for call, result in rows if CALLS[call].op == op]
        assert row.seen == row.delivered + row.aggregated + row.lost == seen[op]
        assert row.delivered == len(results)
        assert row.errors == sum(result < 0 for result in results)
        assert row.lost == (lost if op == "write" else 0)
        moved = sum(result for result in results if result > 0) if op in BYTES else 0
        assert row.bytes == moved + (10 * sum(aggregated) if op == "write" else 0)
    assert set(ops) == {op for op, count in seen.items() if count}


def test_notes_only_for_what_happened() -> None:
    made = counters()
    assert kernel_notes(made) == []
    made["compat"] = [1, 0, 2]
    made["undefined"] = [0, 4, 0]
    notes = kernel_notes(made)
    assert [note.split()[0] for note in notes] == ["3", "4"]
    assert "32-bit" in notes[0]


def stats(**ops: OpStatistics) -> Statistics:
    return Statistics(
        ops=dict(ops),
        began="2026-11-20T23:00:00.000001Z",
        ended="2026-11-20T23:00:01.500001Z",
        files=3,
        processes=2,
        elapsed=1.5,
        cpu=0.25,
        attached=0.5,
    )


def test_json_has_the_promised_form() -> None:
    reported = json.loads(report.as_json(stats(read=OpStatistics(10, 4, 5, 1, 77, 2))))
    assert reported["ops"] == {"read": {"seen": 10, "delivered": 4, "aggregated": 5, "lost": 1, "bytes": 77, "errors": 2}}
    assert (reported["began"], reported["ended"]) == ("2026-11-20T23:00:00.000001Z", "2026-11-20T23:00:01.500001Z")
    assert {name: reported[name] for name in ("files", "processes", "elapsed", "cpu", "attached", "notes")} == {
        "files": 3,
        "processes": 2,
        "elapsed": 1.5,
        "cpu": 0.25,
        "attached": 0.5,
        "notes": [],
    }


def test_text_has_a_line_per_op_the_most_frequent_first() -> None:
    lines = report.as_text(stats(open=OpStatistics(seen=2, delivered=2), read=OpStatistics(9, 9, 0, 0, 2048, 0))).splitlines()
    assert lines[0].split() == ["op", "seen", "delivered", "aggregated", "lost", "errors", "bytes"]
    assert lines[1].split() == ["read", "9", "9", "0", "0", "0", "2.0", "KiB"]
    assert lines[2].split() == ["open", "2", "2", "0", "0", "0"]
    assert lines[3].startswith("11 events, 3 files, 2 processes in 1.50 s")
    assert lines[4:] == ["nothing lost: 11 seen = 11 delivered"]


def test_the_columns_of_the_text_are_aligned() -> None:
    rows = {op: OpStatistics(seen=10**9, delivered=1) for op in OPS[1:]}
    header, *lines = report.as_text(stats(**rows)).splitlines()
    ends = {header.index(name) + len(name) for name in ("seen", "delivered")}
    assert all(line[end - 1] in "01" and line[end] == " " for line in lines[: len(rows)] for end in ends)
    assert {line.split()[0] for line in lines[: len(rows)]} == set(OPS[1:])


def test_what_the_kernel_skipped_comes_first() -> None:
    """On kernels that run programs of tracepoints with preemption enabled."""
    whole = stats(read=OpStatistics(seen=5, delivered=5))
    whole.missed = 7
    assert report.verdict(whole).startswith("events may be missing: the kernel skipped a BPF program 7 times")
    assert not report.verdict(stats(read=OpStatistics(seen=5, delivered=5))).startswith("events may")


def test_the_verdict_reports_losses() -> None:
    aggregated = report.verdict(stats(read=OpStatistics(seen=5, delivered=3, aggregated=2)))
    lost = report.verdict(stats(read=OpStatistics(seen=5, delivered=3, lost=2)))
    assert "nothing lost" not in aggregated + lost
    assert "5 seen = 3 delivered + 2 aggregated + 0 lost" in aggregated
    assert "--ring-size" in aggregated
    assert "5 seen = 3 delivered + 0 aggregated + 2 lost" in lost


def test_nothing_seen_is_not_nothing_lost() -> None:
    """Likely reasons precede the notes."""
    whole = stats()
    whole.reasons, whole.notes = ["no process ran", "or it is unknown"], ["a note"]
    lines = report.as_text(whole).splitlines()
    assert lines[-4:] == ["nothing was seen", "perhaps: no process ran", "perhaps: or it is unknown", "note: a note"]
    assert json.loads(report.as_json(whole))["reasons"] == whole.reasons
    whole.missed = 3
    assert re.fullmatch(r"events may be missing: the kernel skipped a BPF program 3 times .*; nothing was seen", report.verdict(whole))


def test_notes_are_printed() -> None:
    made = stats(read=OpStatistics(1, 1))
    made.notes = ["3 32-bit calls were not decoded"]
    assert report.as_text(made).splitlines()[-1] == "note: 3 32-bit calls were not decoded"


SIZES = {0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 1 << 60: "1024.0 PiB"}


@pytest.mark.parametrize("count", SIZES)
def test_human_bytes(count: int) -> None:
    assert report.human(count) == SIZES[count]
