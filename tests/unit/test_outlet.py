"""Outputs that are slow, away or broken: no event is lost in silence, and none waits for another output.

The sinks here do what the test says; the oracle is the events that they were given.
"""

from __future__ import annotations

import errno
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.capture import outlet
from filetap.capture.outlet import Outlet, Queue
from filetap.capture.outlets import Outlets
from filetap.core.batch import Batch, File, Overflow, Task
from filetap.core.calls import CALL_NUMBER
from filetap.core.sink import Beginning, Sink, UnavailableError
from filetap.core.statistics import OutputStatistics, Statistics
from tests.unit.batches import batch_of

LARGE, SMALL = Queue(1 << 30), 1
"""SMALL: bytes of a queue in which no batch waits: one is being written."""


def batch(number: int, count: int = 10) -> Batch:
    """Return a batch with a file of its own; the size of each event is its number in the test."""
    rows = [{"call": CALL_NUMBER["read"], "result": -1 if n % 2 else 5, "size": number * 100 + n, "file": number + 1} for n in range(count)]
    return batch_of(*rows, files=[File(number + 1, b"/%d" % number)], tasks=[Task(1, 7, 7, b"t", b"t")])


def events_of(*numbers: int) -> list[tuple[int, bytes]]:
    """Return the events of batches as Kept keeps them."""
    return [(number * 100 + n, b"/%d" % number) for number in numbers for n in range(10)]


class Kept(Sink):
    """Keeps the sizes and paths of events. ``before``: called with the number of each batch."""

    def __init__(self, before: Callable[[int], object] = lambda number: None) -> None:
        self.events: list[tuple[int, bytes]] = []
        self.did: list[str] = []
        self._before, self._batches = before, 0

    def begin(self, beginning: Beginning) -> None:
        self.did.append("begin")

    def write(self, batch: Batch) -> None:
        self._batches += 1
        self._before(self._batches)
        found = [(int(event["size"]), batch.files[int(event["file"])].path) for event in batch.events]
        self.events += found
        self.written += len(found)

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        self.did.append(f"aggregated {batch.files[overflows[0].file].path.decode()} {batch.tasks[overflows[0].task].pid}")

    def pending(self, batch: Batch) -> None:
        self.did.append(f"pending {len(batch.events)}")

    def finish(self, statistics: Statistics | None = None) -> None:
        self.did.append("finish")

    def abort(self, reason: str) -> None:
        self.did.append(f"abort {reason}")


class Gate:
    """Holds a sink from its first batch on, until it is opened."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, _number: int) -> None:
        self.reached.set()
        assert self.open.wait(60)


@contextmanager
def running(*outlets: Outlet) -> Iterator[Outlets]:
    run = Outlets(outlets)
    run.begin(Beginning())
    try:
        yield run
    finally:
        run.abort("the test is over")


def fails_at(number: int, error: OSError) -> Callable[[int], None]:
    def before(at: int) -> None:
        if at == number:
            raise error

    return before


FULL = OSError(errno.ENOSPC, "No space left on device")


@given(st.data())
def test_an_event_is_delivered_once_an_output_has_written_it(data: st.DataObject) -> None:
    """However many outputs there are, and wherever each of them ends."""
    ends = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    sinks = [Kept(fails_at(end, FULL)) for end in ends]
    with running(*map(Outlet, sinks)) as run:
        for number in range(5):
            run.write(batch(number))
        written = {event for sink in sinks for event in sink.events}
        assert int(run.delivered.delivered.sum()) == len(written)
        assert int(run.delivered.errors.sum()) == len(written) // 2
        assert bool(run.failure) == (max(ends) < 6)
        assert [one.written + one.dropped for one in run.statistics()] == [50] * len(ends) * (len(ends) > 1)


@pytest.mark.parametrize("queue", [Queue(), LARGE], ids=["direct", "queued"])
def test_a_sink_gets_all_in_order(queue: Queue) -> None:
    kept = Kept()
    with running(Outlet(kept, "a", queue)) as run:
        for number in range(50):
            run.write(batch(number))
        run.flush()
        run.aggregated([Overflow(1, 1, 1, 5, 50, 1, 2)], batch(0, 0))
        run.pending(batch(1, 3))
        run.drain()
        assert kept.events == events_of(*range(50))
        assert run.finish(Statistics()) == []
    assert kept.did[:4] == ["begin", "aggregated /0 7", "pending 3", "finish"]


def test_what_waits_stays_valid() -> None:
    """The events are a view of a ring, and files are forgotten once they are delivered."""
    gate = Gate()
    kept = Kept(gate)
    with running(Outlet(kept, "a", LARGE)) as run:
        for number in range(3):
            made = batch(number)
            run.write(made)
            made.events["size"] = 0
            made.files.clear()  # type: ignore[attr-defined]
        gate.open.set()
        run.drain()
    assert kept.events == events_of(0, 1, 2)


def test_a_slow_output_holds_back_no_other_one() -> None:
    gate, fast, slow = Gate(), Kept(), Kept()
    slow = Kept(gate)
    with running(Outlet(slow, "slow", LARGE), Outlet(fast, "fast", Queue(1 << 20))) as run:
        for number in range(5):
            run.write(batch(number))
        while len(fast.events) < 50:
            time.sleep(0.001)
        assert slow.events == []
        assert int(run.delivered.delivered.sum()) == 0  # not every output has settled them
        gate.open.set()
        run.drain()
    assert slow.events == fast.events == events_of(*range(5))
    assert int(run.delivered.delivered.sum()) == 50


def test_a_full_queue_blocks() -> None:
    gate = Gate()
    kept = Kept(gate)
    with running(Outlet(kept, "slow", Queue(SMALL))) as run:
        writer = threading.Thread(target=lambda: list(map(run.write, map(batch, range(10)))))
        writer.start()
        assert gate.reached.wait(60)
        writer.join(0.2)
        assert writer.is_alive()
        gate.open.set()
        writer.join()
        run.drain()
    assert kept.events == events_of(*range(10))


def test_a_full_queue_drops_and_counts() -> None:
    gate = Gate()
    kept = Kept(gate)
    with running(Outlet(kept, "slow", Queue(SMALL, "drop"))) as run:
        run.write(batch(0))
        assert gate.reached.wait(60)
        for number in range(1, 10):
            run.write(batch(number))
        run.pending(batch(1, 3))  # never dropped: there are few
        gate.open.set()
        run.drain()
        assert run.statistics() == [OutputStatistics("slow", written=10, dropped=90)]
        assert int(run.delivered.delivered.sum()) == 10
    assert kept.events == events_of(0)
    assert "pending 3" in kept.did


def test_what_has_become_known_reaches_a_sink_that_missed_it() -> None:
    """A dropped batch said that more is known of a task: the next one says so."""
    gate, seen = Gate(), []

    class Noted(Kept):
        def write(self, batch: Batch) -> None:
            seen.append(sorted(batch.renewed))
            super().write(batch)

    with running(Outlet(Noted(gate), "slow", Queue(SMALL, "drop"))) as run:
        run.write(batch(0))
        assert gate.reached.wait(60)
        for number in (1, 2):
            run.write(replace(batch(number), renewed=frozenset((number,))))
        gate.open.set()
        run.drain()
        run.write(replace(batch(3), renewed=frozenset((3,))))
        run.drain()
        run.write(batch(4))
        run.drain()
    assert seen == [[], [1, 2, 3], []]


def test_a_full_queue_spills() -> None:
    gate, spilled = Gate(), Kept()
    kept = Kept(gate)
    with running(Outlet(kept, "slow", Queue(SMALL, "spill", Outlet(spilled, "spilled.tap")))) as run:
        run.write(batch(0))
        assert gate.reached.wait(60)
        for number in range(1, 10):
            run.write(batch(number))
        gate.open.set()
        run.drain()
        assert run.statistics() == [OutputStatistics("slow", written=10, spilled=90, spill="spilled.tap")]
        assert int(run.delivered.delivered.sum()) == 100
        run.finish(Statistics())
    assert kept.events + spilled.events == events_of(*range(10))
    assert spilled.did[:2] == ["begin", "finish"]


def test_a_spill_that_is_not_needed_is_aborted() -> None:
    spilled = Kept()
    with running(Outlet(Kept(), "fast", Queue(LARGE.bytes, "spill", Outlet(spilled, "spilled.tap")))) as run:
        run.write(batch(0))
        run.drain()
        assert run.statistics() == [OutputStatistics("fast", written=10)]
        run.finish(Statistics())
    assert spilled.did[0] == "abort nothing was spilled"


def test_a_spill_that_fails_ends_no_output() -> None:
    gate, spilled = Gate(), Kept(fails_at(3, FULL))
    kept = Kept(gate)
    with running(Outlet(kept, "slow", Queue(SMALL, "spill", Outlet(spilled, "spilled.tap")))) as run:
        run.write(batch(0))
        assert gate.reached.wait(60)
        for number in range(1, 10):
            run.write(batch(number))
        gate.open.set()
        run.drain()
        assert not run.failure
        why = "cannot write to spilled.tap: No space left on device"
        assert run.statistics() == [OutputStatistics("slow", 10, dropped=70, spilled=20, spill="spilled.tap", failure=why)]
        assert [str(error) for error in run.finish(Statistics())] == [f"{why}; events already written are kept"]
    assert kept.events + spilled.events == events_of(0, 1, 2)


@pytest.mark.parametrize("queue", [Queue(), LARGE], ids=["direct", "queued"])
def test_a_failure_ends_one_output(queue: Queue) -> None:
    good, bad = Kept(), Kept(fails_at(3, FULL))
    with running(Outlet(bad, "bad", queue), Outlet(good, "good", queue)) as run:
        for number in range(5):
            run.write(batch(number))
        run.drain()
        assert not run.failure
        assert run.statistics() == [
            OutputStatistics("bad", written=20, dropped=30, failure="cannot write to bad: No space left on device"),
            OutputStatistics("good", written=50),
        ]
        errors = run.finish(Statistics())
    assert [str(error) for error in errors] == ["cannot write to bad: No space left on device; events already written are kept"]
    assert bad.events == events_of(0, 1)
    assert good.events == events_of(*range(5))
    assert (bad.did[-2], good.did[-2]) == ("finish", "finish")


def test_the_run_ends_with_its_last_output() -> None:
    view = Kept()
    with running(Outlet(Kept(fails_at(2, FULL)), "a"), Outlet(Kept(fails_at(3, FULL)), "b"), Outlet(view, view=True)) as run:
        for number, failure in enumerate(("", "", "cannot write to a: No space left on device")):
            run.write(batch(number))
            assert run.failure == failure
        assert int(run.delivered.delivered.sum()) == 20  # what only a view has is not delivered
    assert view.events == events_of(0, 1, 2)


def test_a_destination_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("filetap.capture.outlet.time.sleep", pauses.append)
    tries = Counter[str]()

    def before(_number: int) -> None:
        tries["all"] += 1
        if 2 <= tries["all"] <= 12:
            raise UnavailableError(errno.ECONNREFUSED, "Connection refused")

    kept = Kept(before)
    with running(Outlet(kept, "database", LARGE)) as run:
        for number in range(3):
            run.write(batch(number))
        run.drain()
    assert kept.events == events_of(0, 1, 2)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_at_the_end_a_destination_that_is_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "PATIENCE", 0.3)

    def before(_number: int) -> None:
        raise UnavailableError(errno.ECONNREFUSED, "Connection refused")

    with running(Outlet(Kept(before), "database", LARGE)) as run:
        run.write(batch(0))
        run.set_draining()
        run.drain()
        assert run.failure == "cannot write to database: Connection refused"
        assert run.statistics()[0].dropped == 10


def test_a_defect_of_a_sink_is_no_failure() -> None:
    def before(_number: int) -> None:
        raise KeyError

    with running(Outlet(Kept(before), "a", LARGE)) as run:
        run.write(batch(0))
        with pytest.raises(KeyError):
            run.drain()


def test_an_output_that_was_not_begun_is_aborted() -> None:
    kept = Kept()
    Outlet(kept, "a", LARGE).abort("no")
    assert kept.did == ["abort no"]
