"""Rates and totals, and sums with a size limit: against dictionaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from filetap.analysis import rates, summary
from filetap.analysis.aggregation import NAMELESS, Accumulated, AggregateTables, Totals, of_batch, of_kernel, of_overflows
from filetap.analysis.summary import AGGREGATES, FILES, KEYS, TASKS
from filetap.core import wire
from filetap.core.batch import Batch, Credentials, File, Overflow, Task
from filetap.core.calls import CALL_NUMBER, OP_NUMBER

NOBODY = TASKS.empty_table()


def touched(counts: dict[int, int], duration: int = 5) -> AggregateTables:
    """Return this many reads of each file."""
    ids = list(counts)
    number = [counts[file] for file in ids]
    bucket = summary.bucket_of(np.full(len(ids), duration)).tolist()
    columns = [
        ids,
        [1] * len(ids),
        ["read"] * len(ids),
        bucket,
        number,
        [0] * len(ids),
        number,
        [n * duration for n in number],
        [duration] * len(ids),
    ]
    times = [[0] * len(ids), [1] * len(ids)]
    aggregates = pa.table([*columns, *times], schema=AGGREGATES)
    return AggregateTables(aggregates, pa.table([ids, [b"/%d" % file for file in ids]], schema=FILES), NOBODY)


COUNTS = st.dictionaries(st.integers(1, 30), st.integers(1, 100))


@given(COUNTS, COUNTS, st.floats(0.1, 10))
def test_rates_and_totals(before: dict[int, int], now: dict[int, int], seconds: float) -> None:
    total, interval = Accumulated("file", fine=False), Accumulated("file")
    for counts in (before, now):
        total.add(touched(counts))
    interval.add(touched(now, duration=64))
    table = rates.rates(interval.table(), total.table(), KEYS["file"], seconds)
    found = {row["path"]: row for row in table.to_pylist()}
    sums = Counter(before) + Counter(now)
    assert {path: row["count"] for path, row in found.items()} == {b"/%d" % file: count for file, count in sums.items()}
    for file in sums:
        row = found[b"/%d" % file]
        assert row["rate"] == row["bytes/s"] == now.get(file, 0) / seconds
        assert row["errors/s"] == 0
        assert (row["p50"] is not None) == (file in now)
    assert rates.whole(table)["count"] == sum(sums.values())


@given(COUNTS, st.sampled_from(["rate", "count", "p99"]), st.booleans(), st.sampled_from(["", "1", "/2"]))
def test_chosen_rows(counts: dict[int, int], sort: str, reverse: bool, text: str) -> None:
    interval = Accumulated("file")
    interval.add(touched(counts))
    table = rates.rates(interval.table(), interval.table(), KEYS["file"], 1.0)
    rows = rates.chosen(table, KEYS["file"], text.encode(), sort, reverse).to_pylist()
    assert {row["path"] for row in rows} == {b"/%d" % file for file in counts if text in f"/{file}"}
    values = [row[sort] for row in rows]
    assert values == sorted(values, reverse=not reverse)


def test_filter_finds_numbers_and_ignores_case() -> None:
    table = pa.table({"pid": [12, 31, None], "command": [b"Git\xff", b"tar", None], "others": [False] * 3})
    hits = {text: rates.matching(table, ("pid", "command"), text).tolist() for text in (b"1", b"gIT", b"\xff", b"x", b"2")}
    assert hits == {
        b"1": [True, True, False],
        b"gIT": [True, False, False],
        b"\xff": [True, False, False],
        b"x": [False] * 3,
        b"2": [True, False, False],
    }


@given(st.lists(COUNTS, max_size=6), st.integers(2, 8))
def test_the_rest_is_still_counted(parts: list[dict[int, int]], most: int) -> None:
    total, sums = Accumulated("file", most=most), Counter[int]()
    for counts in parts:
        total.add(touched(counts))
        sums.update(counts)
    result = total.summary(1000).drop_columns(["first", "last"]).to_pylist()
    apart = {row["path"]: row["count"] for row in result if not row["others"]}
    assert sum(row["count"] for row in result) == sum(sums.values())
    assert len(apart) <= most or len(parts) < 2
    assert total.cut or apart == {b"/%d" % file: count for file, count in sums.items()}
    assert all(count <= sums[int(path[1:])] for path, count in apart.items())


def test_rows_are_bounded_too() -> None:
    total = Accumulated("file", most=1000, rows=400)
    for step in range(200):
        total.add(touched({file: 1000 - file for file in range(1, 40)}, duration=1 << step % 40))
    assert len(total.table()) <= 400
    assert sum(total.table()["count"].to_pylist()) == 200 * sum(1000 - file for file in range(1, 40))
    assert total.cut


def task(number: int) -> Task:
    return Task(number, 100 + number, 100 + number, b"comm", b"thread", credentials=Credentials(uid=number, euid=number + 1))


def empty(realtime: int = 0) -> Batch:
    return Batch(np.zeros(0, wire.EVENT), {7: File(7, b"/seven")}, {3: task(3)}, realtime)


def test_from_the_kernel() -> None:
    keys = np.array([(3, 7, 0, OP_NUMBER["read"], 12, 0), (0, 0, 55, OP_NUMBER["open"], wire.NO_BUCKET, 1)], wire.AGGREGATE_KEY)
    values = np.array([(5, 1, 640, 999, 500, 10, 20), (1, 1, 0, 0, 0, 30, 30)], wire.AGGREGATE)
    sums = of_kernel(keys, values, empty(realtime=1000))
    aggregates = sums.aggregates.set_column(9, "first", sums.aggregates["first"].cast(pa.int64())).drop_columns(["last"])
    assert [tuple(row.values()) for row in aggregates.to_pylist()] == [
        (7, 3, "read", 12, 5, 1, 640, 999, 500, 1010),
        (0, NAMELESS + 55, "open", None, 1, 1, 0, 0, 0, 1030),
    ]
    assert sums.files.to_pylist() == [{"id": 7, "path": b"/seven"}]
    assert [(row["id"], row["pid"], row["uid"], row["euid"]) for row in sums.tasks.to_pylist()] == [
        (3, 103, 3, 4),
        (NAMELESS + 55, 55, None, None),
    ]


def test_a_stream_gives_the_same_as_the_kernel() -> None:
    events = np.zeros(3, wire.EVENT)
    events["call"], events["file"], events["task"] = CALL_NUMBER["pread64"], 7, 3
    events["result"], events["duration"], events["time"] = [64, -5, 10], [100, 101, 9], [5, 6, 7]
    events["flags"][2] = wire.MICROSECONDS
    sink = Totals("file")
    sink.write(Batch(events, empty().files, empty().tasks, 0))
    sink.aggregated([Overflow(3, 7, OP_NUMBER["read"], 10, 640, 1, 9)], empty())
    assert sink.written == 3
    (row,) = sink.total.summary(5).drop_columns(["first", "last"]).to_pylist()
    assert (row["count"], row["errors"], row["bytes"], row["total"]) == (13, 1, 64 + 10 + 640, 100 + 101 + 9000)
    assert row["max"] == 9000
    assert len(of_batch(empty()).aggregates) == 0
    assert of_overflows([Overflow(0, 0, 1, 1, 1, 1, 1, 9)], empty()).tasks["pid"].to_pylist() == [9]
