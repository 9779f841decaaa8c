"""Recorded data is read back unchanged: events of all calls, names of any bytes, sealed or not.

Separate from the tests of damaged files (test_trace_damage.py). The oracle is the written batches.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replace_metadata

from filetap.core.batch import Batch, Overflow
from filetap.core.calls import CALLS
from filetap.recording import tables
from filetap.recording.format import TraceError
from filetap.recording.reader import Trace
from filetap.recording.retention import Limits
from filetap.recording.writer import TraceSink
from tests.unit.batches import BATCHES, TASK, batch_of
from tests.unit.traces import metadata, plain, record, rows_in, rows_of

SETTINGS = settings(max_examples=60, deadline=None)


def known(batches: list[Batch], kind: str) -> dict[int, object]:
    """Return the files or tasks of events, as in the first batch that has them."""
    found: dict[int, object] = {}
    for batch in batches:
        ids = {int(number) for number in batch.events[kind]} | ({int(n) for n in batch.ext["target"]} if kind == "file" else set())
        items = batch.files if kind == "file" else batch.tasks
        found |= {number: items[number] for number in ids if number in items and number not in found}
    return found


def of_system(file: object) -> object:
    """Return a file whose file system has a text name."""
    return replace(file, filesystem=file.filesystem.decode(errors="replace").encode())  # type: ignore[type-var, attr-defined]


@SETTINGS
@given(st.lists(BATCHES, max_size=4), st.integers(1, 12))
def test_written_rows_are_read(batches: list[Batch], rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trace = record(Path(folder, "t.tap"), batches, Limits(rows=rows))
        assert rows_in(trace) == [row for batch in batches for row in rows_of(batch)]
        assert not trace.damages
        assert sum(entry.events for entry in trace.metadata.segments) == sum(len(batch.events) for batch in batches)


@SETTINGS
@given(BATCHES)
def test_files_and_tasks_keep_every_byte_of_their_names(batch: Batch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trace = record(Path(folder, "t.tap"), [batch])
        assert tables.files_of(trace.table("files")) == {n: of_system(file) for n, file in known([batch], "file").items()}
        tasks = known([batch], "task")
        above = {process.id: process for task in tasks.values() for process in task.ancestors}  # type: ignore[attr-defined]
        assert tables.tasks_of(trace.table("tasks")) == tasks | above


@SETTINGS
@given(BATCHES)
def test_an_unsealed_trace_reads_as_the_sealed_one(batch: Batch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sink = TraceSink(Path(folder, "t.tap"), metadata())
        sink.write(batch)
        live = Trace(Path(folder, "t.tap"))
        assert live.live
        before = {name: plain(live.table(name)) for name in ("events", "files", "tasks")}
        sink.close()
        sealed = Trace(Path(folder, "t.tap"))
        assert not sealed.live
        assert {name: plain(sealed.table(name)) for name in before} == before


def test_every_call_has_its_op_and_name(tmp_path: Path) -> None:
    batch = batch_of(*({"call": number, "time": number} for number in range(len(CALLS))))
    trace = record(tmp_path / "t.tap", [batch])
    assert [(row["op"], row["call"]) for row in plain(trace.table("events"))] == [(call.op, call.name) for call in CALLS]


def test_aggregated_events_are_a_table(tmp_path: Path) -> None:
    sink = TraceSink(tmp_path / "t.tap", metadata())
    empty = batch_of()
    sink.aggregated([Overflow(1, 1, 2, 5, 50, 10, 20, pid=7)], empty)
    sink.close()
    trace = Trace(tmp_path / "t.tap")
    (row,) = plain(trace.table("aggregated"))
    assert (row["count"], row["bytes"], row["pid"], row["file"]) == (5, 50, 7, 1)
    assert (row["first"], row["last"]) == (empty.realtime + 10, empty.realtime + 20)
    assert trace.table("files").num_rows == trace.table("tasks").num_rows == 1


def test_each_segment_has_the_ancestors_of_its_tasks(tmp_path: Path) -> None:
    """So that any segment can be deleted, or read alone; each process occurs once."""
    first, shell = (replace(TASK, id=number, pid=number, parent=parent, ancestor=True) for number, parent in ((101, 0), (102, 101)))
    tasks = [replace(TASK, id=number, pid=number, parent=102, ancestors=(shell, first)) for number in (1, 2, 3)]
    batches = [batch_of(*({"task": task.id} for _ in range(2)), tasks=tasks) for task in tasks]
    trace = record(tmp_path / "t.tap", batches, Limits(rows=2))
    for segment, task in enumerate(tasks, 1):
        rows = pq.ParquetFile(tmp_path / "t.tap" / "tasks" / f"{segment:06}.parquet").read().to_pylist()
        found = {row["id"]: (row["parent"], row["ancestor"]) for row in rows}
        assert (len(rows), found) == (3, {task.id: (102, False), 101: (None, True), 102: (101, True)})
    assert tables.tasks_of(trace.table("tasks")) == {task.id: task for task in (first, shell, *tasks)}


def recorded_by(folder: Path, calls: list[tuple[str, str]], *numbers: int) -> Trace:
    """Write it as a filetap with other call numbers that did not close it: the reader seals it."""
    sink = TraceSink(folder, replace_metadata(metadata(), calls=calls))
    sink.write(batch_of(*({"call": number, "file": 1, "task": 1} for number in numbers)))
    os.close(sink._lock)
    return Trace(folder)


def test_calls_are_those_of_the_recording_version(tmp_path: Path) -> None:
    """Numbers of calls change from version to version; an unsealed trace has nothing else."""
    calls = [(call.op, call.name) for call in CALLS]
    turned = [calls[0], *calls[2:], calls[1]]
    rows = recorded_by(tmp_path / "t.tap", turned, 1, 2, len(turned) - 1).table("events")
    assert list(zip(rows["op"].to_pylist(), rows["call"].to_pylist(), strict=True)) == [turned[1], turned[2], turned[-1]]


def test_an_unknown_call_is_reported(tmp_path: Path) -> None:
    """It is neither confused with another call nor omitted silently: the version that recorded it can read it."""
    calls = [*((call.op, call.name) for call in CALLS), ("teleport", "teleport2")]
    with pytest.raises(TraceError, match="teleport2"):
        recorded_by(tmp_path / "t.tap", calls, 1, len(calls) - 1).table("events")
    assert not list(tmp_path.rglob("*.new"))
