"""CPU rings and the definitions ring over memory that the test writes as the kernel would.

Separate from test_reader.py, which is about order and meaning; here it is positions, wrap-around and headers. The
memory is a memfd: mmap(2) handles it as a BPF map's descriptor.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filetap.core import wire
from filetap.kernel.ring import BUSY, DISCARD, HEADER, PAGE, CpuRings, Ring, view_globals

SIZE = PAGE


def place(dtype: np.dtype[Any], field: str) -> int:
    """Return the offset of a field in a record."""
    assert dtype.fields is not None
    return int(dtype.fields[field][1])


class RingFile:
    """The kernel's side of a BPF_MAP_TYPE_RINGBUF of one page: consumer page, producer page, data, data again."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.truncate(self.fd, 2 * PAGE + 2 * SIZE)
        self.position = 0

    def put(self, record: bytes, flag: int = 0) -> None:
        length = len(record) + HEADER
        for i, byte in enumerate(struct.pack("<II", len(record) | flag, 0) + record):
            for copy in (0, SIZE):
                os.pwrite(self.fd, bytes([byte]), 2 * PAGE + copy + (self.position + i) % SIZE)
        self.position += -(-length // 8) * 8
        os.pwrite(self.fd, struct.pack("<Q", self.position), PAGE)

    def commit(self, position: int, length: int) -> None:
        for copy in (0, SIZE):
            os.pwrite(self.fd, struct.pack("<I", length), 2 * PAGE + copy + position % SIZE)

    @property
    def consumed(self) -> int:
        return int(struct.unpack("<Q", os.pread(self.fd, 8, 0))[0])


@pytest.fixture
def file() -> Iterator[RingFile]:
    made = RingFile()
    yield made
    os.close(made.fd)


def test_records_in_order_and_released(file: RingFile) -> None:
    ring = Ring(file.fd, SIZE)
    for record in (b"one", b"", b"three33"):
        file.put(record)
    assert list(ring.records(ring.produced())) == [b"one", b"", b"three33"]
    assert ring.position == file.consumed == file.position


def test_a_record_is_released_only_when_the_next_is_asked_for(file: RingFile) -> None:
    ring = Ring(file.fd, SIZE)
    file.put(b"one")
    file.put(b"two")
    records = ring.records(ring.produced())
    assert next(records) == b"one"
    assert file.consumed == 0
    assert next(records) == b"two"
    assert file.consumed == 16


def test_stops_at_until_and_at_a_busy_record(file: RingFile) -> None:
    ring = Ring(file.fd, SIZE)
    file.put(b"one")
    until = ring.produced()
    file.put(b"later")
    assert list(ring.records(until)) == [b"one"]
    at = file.position
    file.put(b"busy", BUSY)
    file.put(b"after")
    assert list(ring.records(ring.produced())) == [b"later"]
    file.commit(at, 4)
    assert list(ring.records(ring.produced())) == [b"busy", b"after"]


def test_discarded_records_are_passed_over(file: RingFile) -> None:
    ring = Ring(file.fd, SIZE)
    file.put(b"one")
    file.put(b"x" * 100, DISCARD)
    file.put(b"two")
    assert list(ring.records(ring.produced())) == [b"one", b"two"]


def test_begins_where_the_consumer_is(file: RingFile) -> None:
    first = Ring(file.fd, SIZE)
    file.put(b"one")
    list(first.records(first.produced()))
    file.put(b"two")
    second = Ring(file.fd, SIZE)
    assert list(second.records(second.produced())) == [b"two"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=300), max_size=8), max_size=12))
def test_whatever_goes_in_comes_out_across_the_wrap(turns: list[list[bytes]]) -> None:
    file = RingFile()
    ring = Ring(file.fd, SIZE)
    try:
        for turn in turns:
            for record in turn:
                file.put(record)
            assert list(ring.records(ring.produced())) == turn
            assert file.consumed == file.position
    finally:
        os.close(file.fd)


CPUS, SLOTS = 3, 8


def pages(size: int) -> int:
    """Return the memory of an array: mmap(2) uses whole pages."""
    return -(-size // PAGE) * PAGE


class CpuRingFiles:
    """The two arrays that CpuRings maps."""

    def __init__(self) -> None:
        self.events, self.cpu_rings = os.memfd_create("events"), os.memfd_create("cpu_rings")
        os.truncate(self.events, pages(CPUS * SLOTS * wire.EVENT.itemsize))
        os.truncate(self.cpu_rings, pages(CPUS * wire.CPU_RING.itemsize))

    def produce(self, cpu: int, position: int, *times: int) -> None:
        for i, time in enumerate(times):
            event = np.zeros(1, wire.EVENT)
            event["time"] = time
            os.pwrite(self.events, event.tobytes(), (cpu * SLOTS + (position + i) % SLOTS) * wire.EVENT.itemsize)
        os.pwrite(self.cpu_rings, struct.pack("<Q", position + len(times)), cpu * wire.CPU_RING.itemsize)

    def consumed(self, cpu: int) -> int:
        at = cpu * wire.CPU_RING.itemsize + place(wire.CPU_RING, "consumed")
        return int(struct.unpack("<Q", os.pread(self.cpu_rings, 8, at))[0])


@pytest.fixture
def files() -> Iterator[CpuRingFiles]:
    made = CpuRingFiles()
    yield made
    os.close(made.events)
    os.close(made.cpu_rings)


@pytest.fixture
def cpu_rings(files: CpuRingFiles) -> CpuRings:
    return CpuRings(files.events, files.cpu_rings, CPUS, SLOTS)


def times(cpu_rings: CpuRings, cpu: int, most: int = 99) -> list[int]:
    return [int(t) for t in cpu_rings.slots_of(cpu, int(cpu_rings.produced()[cpu]), most)["time"]]


def test_each_cpu_ring_has_its_own_slots(files: CpuRingFiles, cpu_rings: CpuRings) -> None:
    files.produce(0, 0, 1, 2)
    files.produce(2, 0, 3)
    assert cpu_rings.produced().tolist() == [2, 0, 1]
    assert [times(cpu_rings, cpu) for cpu in range(CPUS)] == [[1, 2], [], [3]]


def test_a_view_ends_at_the_cpu_rings_end(files: CpuRingFiles, cpu_rings: CpuRings) -> None:
    files.produce(1, 0, *range(6))
    cpu_rings.release(1, 6)
    files.produce(1, 6, 6, 7, 8, 9)
    assert times(cpu_rings, 1) == [6, 7]
    cpu_rings.release(1, 2)
    assert times(cpu_rings, 1) == [8, 9]
    cpu_rings.release(1, 2)
    assert times(cpu_rings, 1) == []
    assert files.consumed(1) == 10


def test_no_more_than_requested(files: CpuRingFiles, cpu_rings: CpuRings) -> None:
    files.produce(0, 0, *range(5))
    assert times(cpu_rings, 0, 3) == [0, 1, 2]


def test_positions_are_a_copy_and_consumed_is_live(files: CpuRingFiles, cpu_rings: CpuRings) -> None:
    before = cpu_rings.produced()
    consumed = cpu_rings.consumed()
    files.produce(0, 0, 1)
    cpu_rings.release(0, 1)
    assert before.tolist() == [0, 0, 0]
    assert consumed.tolist() == [1, 0, 0]


def test_the_events_cannot_be_written_through(cpu_rings: CpuRings) -> None:
    """They are the kernel's; a writable view would hide a mistake of a sink."""
    assert not cpu_rings.slots_of(0, 1, 1).flags.writeable


def test_globals_are_live() -> None:
    fd = os.memfd_create("globals")
    os.truncate(fd, pages(wire.GLOBALS.itemsize))
    view = view_globals(fd)
    os.pwrite(fd, struct.pack("<q", -3), place(wire.GLOBALS, "live"))
    assert int(view["live"][0]) == -3
    os.close(fd)
