"""The flight recorder's memory: never more than its limits of size and age, and dropped events are counted.

Separate from tests/e2e/test_record.py, where signals and commands make it write. The oracle is the batches it received.
"""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest

from filetap.core.batch import Batch, File, Task
from filetap.core.calls import CALL_NUMBER
from filetap.core.errors import FiletapError, UsageError
from filetap.core.sink import Beginning
from filetap.core.statistics import Statistics
from filetap.recording import tables
from filetap.recording.flight import FlightSink
from filetap.recording.reader import Trace
from filetap.recording.writer import TraceSink
from tests.unit.batches import batch_of
from tests.unit.traces import metadata, rows_in, rows_of


def batch(number: int, events: int = 20) -> Batch:
    """Return a batch with a file of its own and a common one."""
    files = [File(number + 1, b"/own/%d" % number, inode=number), File(1, b"/all")]
    rows = [{"call": CALL_NUMBER["read"], "time": number * 100 + n, "file": 1 if n % 2 else number + 1} for n in range(events)]
    return batch_of(*rows, files=files, tasks=[Task(1, 7, 7, b"t", b"t")])


class Flight:
    """A sink with a clock that the test sets."""

    def __init__(self, folder: Path, seconds: float = 60, memory: int = 1 << 30) -> None:
        self.now, self.messages = 0.0, list[str]()
        self.sink = FlightSink(folder / "t.tap", metadata(), (seconds, memory), log_message=self.messages.append, now=lambda: self.now)

    def end(self) -> None:
        self.sink.finish(Statistics())


def test_it_keeps_the_last_seconds_and_their_definitions(tmp_path: Path) -> None:
    flight = Flight(tmp_path, seconds=10)
    for number in range(1, 31):
        flight.now = number
        flight.sink.write(batch(number))
    flight.end()
    trace = Trace(tmp_path / "t.tap")
    assert rows_in(trace) == [row for number in range(20, 31) for row in rows_of(batch(number))]
    assert trace.metadata.dropped == 19 * 20 == flight.sink.dropped
    assert set(tables.files_of(trace.table("files"))) == {1, *range(21, 32)}
    assert trace.metadata.notes == ["flight recorder: 380 earlier events were dropped"]


def test_the_limit_is_on_real_memory(tmp_path: Path) -> None:
    flight = Flight(tmp_path, memory=4 << 20)
    tracemalloc.start()
    try:
        for number in range(1, 3000):
            flight.sink.write(batch(number))
            assert flight.sink.size <= 4 << 20
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken < 4 << 20
    assert 0 < flight.sink.written - flight.sink.dropped < flight.sink.written
    assert set(flight.sink._files.items) == {1, *(number + 1 for number in range(2999 - len(flight.sink._held) + 1, 3000))}


def test_listings_of_pending_calls_use_the_same_memory(tmp_path: Path) -> None:
    """Frequent SIGUSR2 must not make it grow, nor evict all events."""
    flight = Flight(tmp_path, memory=1 << 20)
    for number in range(1, 1000):
        flight.now += 0.01
        flight.sink.pending(batch(number))
        assert flight.sink.size <= 1 << 20
        flight.now += 0.01
        flight.sink.write(batch(number + 1000))
        assert flight.sink.size <= 1 << 20
    held, listed = len(flight.sink._held), len(flight.sink._pending)
    assert held > 50
    assert abs(held - listed) <= 1
    flight.end()
    trace = Trace(tmp_path / "t.tap")
    assert rows_in(trace) == [row for number in range(2000 - held, 2000) for row in rows_of(batch(number))]
    assert trace.table("pending").num_rows == 20 * listed
    assert trace.metadata.notes == [
        f"flight recorder: {20 * (999 - held)} earlier events were dropped",
        f"flight recorder: {20 * (999 - listed)} listed pending calls were dropped",
    ]


def test_a_listing_larger_than_the_memory_is_dropped_too(tmp_path: Path) -> None:
    flight = Flight(tmp_path, memory=64 << 10)
    flight.sink.write(batch(1))
    flight.sink.pending(batch(2, 5000))
    assert flight.sink.size == 0


def test_the_last_trace_counts_back_from_the_end_of_tracing(tmp_path: Path) -> None:
    """However long the end of a run takes."""
    flight = Flight(tmp_path, seconds=5)
    for number in range(1, 11):
        flight.now = number
        flight.sink.write(batch(number))
    flight.sink.stop()
    flight.now += 60
    flight.sink.write(batch(11))
    flight.end()
    assert rows_in(Trace(tmp_path / "t.tap")) == [row for number in range(5, 12) for row in rows_of(batch(number))]


def test_unreferenced_definitions_are_dropped(tmp_path: Path) -> None:
    flight, chance = Flight(tmp_path, seconds=5), random.Random(1)
    for number in range(1, 200):
        flight.now += chance.random()
        flight.sink.write(batch(number))
    flight.now += 100
    flight.sink.write(batch(200))
    assert set(flight.sink._files.items) == {1, 201}
    assert set(flight.sink._tasks.items) == {1}
    only = FlightSink(tmp_path / "u.tap", metadata(), (60, 1 << 30), log_message=flight.messages.append)
    only.write(batch(200))
    assert flight.sink.size == only.size


def test_each_trace_has_a_name_of_its_own_and_the_last_only_if_something_came(tmp_path: Path) -> None:
    flight = Flight(tmp_path)
    flight.sink.write(batch(1))
    flight.sink.dump(Statistics())
    for thread in flight.sink._writing:
        thread.join()
    flight.end()
    assert [path.name for path in tmp_path.iterdir()] == ["t.tap"]
    flight.sink.write(batch(2))
    flight.end()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t-2.tap", "t.tap"]
    assert Trace(tmp_path / "t-2.tap").table("events").num_rows == 40
    assert flight.messages == [f"flight recorder: {n} events are in {tmp_path}/{name}" for n, name in ((20, "t.tap"), (40, "t-2.tap"))]


def test_a_later_trace_has_nothing_older(tmp_path: Path) -> None:
    """Old events are dropped even if no new ones come."""
    flight = Flight(tmp_path, seconds=5)
    flight.sink.write(batch(1))
    flight.now += 4
    flight.sink.write(batch(2))
    flight.now += 3
    flight.sink.dump(Statistics())
    for thread in flight.sink._writing:
        thread.join()
    assert Trace(tmp_path / "t.tap").table("events").num_rows == 20
    assert flight.sink.dropped == 20


def test_metadata_of_one_trace_are_not_in_the_next(tmp_path: Path) -> None:
    flight = Flight(tmp_path)
    for number in (1, 2):
        flight.sink.write(batch(number))
        flight.end()
    first, second = (Trace(tmp_path / name).metadata for name in ("t.tap", "t-2.tap"))
    assert [[entry.events for entry in found.segments] for found in (first, second)] == [[20], [40]]
    assert (len(first.clocks), len(second.clocks), len(second.notes)) == (1, 1, 1)
    assert first.uuid != second.uuid


def test_it_is_due_once_for_each_signal_and_each_failure(tmp_path: Path) -> None:
    sink = Flight(tmp_path).sink
    assert not sink.is_due(False)
    sink.dump_requested = True
    assert [sink.is_due(False), sink.is_due(False), sink.is_due(True), sink.is_due(True)] == [True, False, True, False]


def test_an_existing_file_is_reported_before_tracing(tmp_path: Path) -> None:
    TraceSink(tmp_path / "t.tap", metadata()).close()
    with pytest.raises(UsageError, match="exists: give --force"):
        Flight(tmp_path)
    sink = FlightSink(tmp_path / "t.tap", metadata(), (60, 1 << 20), force=True, log_message=print)
    assert (tmp_path / "t.tap").exists()
    sink.begin(Beginning())
    assert not (tmp_path / "t.tap").exists()
    with pytest.raises(FiletapError, match="no such directory"):
        Flight(tmp_path / "nowhere")
