"""The reader over CPU rings and a ring that the test writes: every event once, in its thread's order, with its files and tasks.

Separate from test_ring.py, which tests the positions. ring_writer.py does what bpf/lib/emit.bpf.h does, slot by slot;
the oracle is the plain list of written events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filetap.capture import reader
from filetap.core import wire
from filetap.core.batch import UNKNOWN_USER, Batch
from filetap.core.errors import KernelError
from filetap.kernel.ring import BUSY
from tests.unit.ring_writer import READ, Kernel


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel()
    yield made
    made.close()


def rows(batches: Iterator[Batch] | Sequence[Batch], name: str = "offset") -> list[int]:
    """Return one field of all events, read while each batch is valid."""
    return [int(value) for batch in batches for value in batch.events[name].tolist()]


def file_record(number: int, name: bytes) -> bytes:
    fixed = np.zeros(1, wire.FILE_DEFINITION)
    fixed["kind"], fixed["id"], fixed["length"] = wire.DEFINE_FILE, number, len(name) + 1
    return fixed.tobytes().ljust(wire.DEFINITION_FIXED, b"\0") + name + b"\0"


def test_nothing_gives_nothing(kernel: Kernel) -> None:
    assert list(kernel.reader().drain()) == []


def test_each_event_once(kernel: Kernel) -> None:
    reading = kernel.reader()
    kernel.event(0, offset=1)
    kernel.event(1, offset=2)
    assert sorted(rows(reading.drain())) == [1, 2]
    assert rows(reading.drain()) == []
    kernel.event(1, offset=3)
    assert rows(reading.drain()) == [3]


def test_a_thread_that_moves_between_cpus_stays_in_order(kernel: Kernel) -> None:
    reading = kernel.reader()
    for i, cpu in enumerate((1, 0, 1, 1, 0)):
        kernel.event(cpu, offset=i, tid=77)
    assert rows(reading.drain()) == [0, 1, 2, 3, 4]


def test_across_the_end_of_a_cpu_ring(kernel: Kernel) -> None:
    reading = kernel.reader()
    for start in range(0, 60, 5):
        for i in range(5):
            kernel.event(0, offset=start + i)
        assert rows(reading.drain()) == list(range(start, start + 5))


def test_events_of_the_future_wait(kernel: Kernel) -> None:
    """An event from after the begin of the drain may have a definition that was not read."""
    reading = kernel.reader()
    kernel.event(0, offset=1)
    kernel.event(0, offset=2, time=kernel.now + 1000)
    kernel.event(1, offset=3)
    assert sorted(rows(reading.drain())) == [1, 3]
    kernel.now += 2000
    assert rows(reading.drain()) == [2]


def test_the_final_drain_takes_all(kernel: Kernel) -> None:
    reading = kernel.reader()
    kernel.event(0, offset=1, time=kernel.now + 10**12)
    assert rows(reading.drain()) == []
    assert rows(reading.drain(final=True)) == [1]


IDENTITY = {"inode": 1234, "generation": 7, "pid": 55, "ppid": 44, "euid": 33, "comm": b"cat\0garbage"}


def test_an_event_without_definitions_carries_its_identity(kernel: Kernel) -> None:
    reading = kernel.reader()
    kernel.event(0, offset=1)
    kernel.event(0, IDENTITY, offset=2, file=0, task=0, tid=56)
    kernel.event(0, offset=3)
    draining = reading.drain()
    batch = next(draining)
    assert batch.events["offset"].tolist() == [1, 2, 3]
    assert batch.events["call"].tolist() == [READ] * 3
    file, task = batch.files[int(batch.events["file"][1])], batch.tasks[int(batch.events["task"][1])]
    assert (file.path, file.resolved, file.inode, file.generation) == (b"", False, 1234, 7)
    assert (task.pid, task.tid, task.ppid, task.comm) == (55, 56, 44, b"cat")
    assert task.credentials == replace(UNKNOWN_USER, euid=33)
    assert list(draining) == []
    assert file.id not in batch.files  # the sink has it by then


def test_what_is_defined_keeps_its_id(kernel: Kernel) -> None:
    reading = kernel.reader()
    kernel.event(0, IDENTITY, file=9, task=0)
    kernel.event(0, IDENTITY, file=0, task=8)
    kernel.event(1, IDENTITY | {"inode": 0}, file=0, task=8)
    (batch,) = reading.drain()
    files, tasks = batch.events["file"].tolist(), batch.events["task"].tolist()
    assert (files[0], tasks[1:]) == (9, [8, 8])
    assert files[1] >= reader.MADE <= tasks[0]
    assert files[2] == 0


def test_ids_that_the_reader_makes_are_distinct(kernel: Kernel) -> None:
    reading = kernel.reader()
    ids: list[int] = []
    for _ in range(4):
        kernel.event(0, IDENTITY, file=0, task=0)
        ids += [number for batch in reading.drain() for name in ("file", "task") for number in batch.events[name].tolist()]
    assert len(set(ids)) == 8


def test_an_identity_is_never_read_as_an_event(kernel: Kernel) -> None:
    """Its bytes may have any value: an old time, a thread, flags."""
    reading = kernel.reader()
    hostile = {"inode": 1, "target_offset": 2**64 - 1, "argument": 2**32 - 1, "pid": 2**32 - 1, "comm": b"\xff" * 16}
    kernel.event(0, hostile, offset=1, tid=5)
    kernel.event(1, offset=2, tid=5)
    assert rows(reading.drain()) == [1, 2]


TARGETS = {"target": 5, "target_fd": -1, "target_offset": 2**64 - 1, "argument": 2**32 - 1}


def test_second_slots_belong_to_their_events(kernel: Kernel) -> None:
    """The k-th event that has one belongs to the k-th row, whatever the CPUs."""
    reading = kernel.reader()
    for i in range(6):
        kernel.event(i % 2, TARGETS | {"target": i} if i % 3 else None, offset=i, tid=77)
    (batch,) = reading.drain()
    assert batch.events["offset"].tolist() == [0, 1, 2, 3, 4, 5]
    assert (batch.events["flags"] & wire.HAS_EXT).tolist() == [0, 1, 1, 0, 1, 1]
    assert [row.tolist() for row in batch.ext[["target", "target_fd", "target_offset", "argument"]]] == [
        (i, -1, 2**64 - 1, 2**32 - 1) for i in (1, 2, 4, 5)
    ]


def test_an_event_keeps_its_ids_with_a_second_slot(kernel: Kernel) -> None:
    reading = kernel.reader()
    kernel.event(0, TARGETS, file=9, task=8)
    kernel.event(0, TARGETS, file=0, task=8)
    (batch,) = reading.drain()
    assert (batch.events["file"].tolist(), batch.events["task"].tolist()) == ([9, 0], [8, 8])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12), st.data())
def test_parts_of_a_batch_have_their_second_slots(rows: list[tuple[bool, bool]], data: st.DataObject) -> None:
    events, ext = np.zeros(len(rows), wire.EVENT), np.zeros(sum(has for has, _ in rows), wire.EVENT_EXT)
    events["offset"], events["flags"] = range(len(rows)), [has for has, _ in rows]
    ext["target"] = [number for number, (has, _) in enumerate(rows) if has]
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    batch = Batch(events, {}, {}, 0, ext)
    kept = batch.where(np.array([keep for _, keep in rows], bool))
    for part, numbers in ((kept, [n for n, (_, keep) in enumerate(rows) if keep]), (batch.portion(start, stop), range(start, stop))):
        assert part.events["offset"].tolist() == list(numbers)
        assert part.ext["target"].tolist() == [number for number in numbers if rows[number][0]]


@pytest.mark.parametrize("taken", [True, False], ids=["drained-before", "in-one-go"])
@pytest.mark.parametrize("before", range(5, 12))
def test_two_slots_at_the_end_of_a_cpu_ring(kernel: Kernel, before: int, taken: bool) -> None:
    """An empty slot fills the CPU ring; it may be all that is read at that moment."""
    reading = kernel.reader()
    seen: list[int] = []
    for i in range(before):
        if not kernel.room(0) or taken:
            seen += rows(reading.drain())
        kernel.event(0, offset=i)
    if taken or not kernel.room(0):
        seen += rows(reading.drain())
    kernel.event(0, IDENTITY, offset=before, file=0)
    seen += rows(reading.drain())
    assert seen == list(range(before + 1))


def test_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST", 4)
    kernel = Kernel(cpus=1, slots=64)
    reading = kernel.reader()
    for i in range(5):
        kernel.event(0, IDENTITY, offset=i, file=0)
        kernel.event(0, offset=100 + i)
    sizes = []
    found = []
    for batch in reading.drain():
        sizes.append(len(batch.events))
        found += batch.events["offset"].tolist()
    assert found == [0, 100, 1, 101, 2, 102, 3, 103, 4, 104]
    assert max(sizes) <= 4
    kernel.close()


def test_definitions_come_before_the_events_that_name_them(kernel: Kernel) -> None:
    reading = kernel.reader()
    kernel.define(file_record(5, b"name"))
    kernel.event(0, file=5)
    for batch in reading.drain():
        assert batch.files[5].path == b"/name"


def test_short_definitions_are_not_decoded(kernel: Kernel) -> None:
    kernel.define(b"short")
    kernel.define(file_record(5, b"name"))
    reading = kernel.reader()
    list(reading.drain())
    assert set(reading.definitions.files) == {5}


def test_a_busy_definition_is_waited_for(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    record = file_record(5, b"name")
    at = kernel.define(record, BUSY)
    kernel.event(0, file=5)
    looks = []

    def passing() -> float:
        looks.append(1)
        if len(looks) == 4:
            kernel.finish(at, len(record))
        return float(len(looks)) / 10

    reading = kernel.reader()
    monkeypatch.setattr("filetap.capture.reader.time.monotonic", passing)
    assert [batch.files[5].path for batch in reading.drain()] == [b"/name"]
    assert len(looks) >= 4


def test_a_definition_that_is_never_finished_is_an_error(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.define(file_record(5, b"name"), BUSY)
    reading = kernel.reader()
    seconds = iter(range(1000))
    monkeypatch.setattr("filetap.capture.reader.time.monotonic", lambda: float(next(seconds)))
    with pytest.raises(KernelError, match="unfinished definition"):
        list(reading.drain())


def test_many_definitions_may_take_long(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine the kernel still finishes: the limit is on the time without any definition."""
    record = file_record(5, b"name")
    places = [kernel.define(record, BUSY) for _ in range(4)]
    kernel.event(0, file=5)
    now = 0.0

    def passing() -> float:
        nonlocal now
        now += 9
        if places:
            kernel.finish(places.pop(0), len(record))
        return now

    reading = kernel.reader()
    monkeypatch.setattr("filetap.capture.reader.time.monotonic", passing)
    assert [batch.files[5].path for batch in reading.drain()] == [b"/name"]
    assert not places


SECOND_SLOTS: dict[str, dict[str, Any]] = {"identity": IDENTITY, "target": TARGETS}
Step = tuple[str, int, int]
"""The actions: an event, one with an identity or a target, or a drain; on which CPU; of which thread."""
STEPS = st.tuples(st.sampled_from(["event", "event", "identity", "target", "drain"]), st.integers(0, 2), st.integers(0, 4))


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=120), st.sampled_from([4, 8, 16]), st.sampled_from([3, 5, 1000]), st.sampled_from([0, 4, 2048]))
def test_every_event_once_and_in_its_threads_order(steps: list[Step], slots: int, most: int, few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "MOST", most)
        patch.setattr(reader, "FEW", few)
        kernel = Kernel(3, slots)
        reading = kernel.reader()
        written: dict[int, list[int]] = defaultdict(list)
        found: dict[int, list[int]] = defaultdict(list)
        targets: list[tuple[int, int]] = []
        for number, (what, cpu, thread) in enumerate([*steps, ("drain", 0, 0)]):
            if what == "drain" or not kernel.room(cpu):
                for batch in reading.drain(final=number == len(steps)):
                    for tid, offset in zip(batch.events["tid"].tolist(), batch.events["offset"].tolist(), strict=True):
                        found[tid].append(offset)
                    seconds = batch.events["offset"][batch.events["flags"] & wire.HAS_EXT != 0]
                    targets += zip(seconds.tolist(), batch.ext["argument"].tolist(), strict=True)
            if what != "drain":
                ext = SECOND_SLOTS.get(what)
                kernel.event(cpu, ext and ext | {"argument": number}, tid=thread, offset=number, file=what != "identity")
                written[thread].append(number)
        kernel.close()
    assert found == written
    assert all(offset == argument for offset, argument in targets)
