"""The kernel's side of the CPU rings and of the definitions ring, over files in memory.

It does what bpf/lib/emit.bpf.h does, slot by slot.
"""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np

from filetap.capture.definitions import Definitions
from filetap.capture.reader import Reader
from filetap.core import wire
from filetap.core.calls import CALL_NUMBER
from filetap.core.clock import Clock
from filetap.kernel.ring import HEADER, PAGE, CpuRings, Ring

READ = CALL_NUMBER["read"]
STRIDE = wire.EVENT.itemsize


def place(dtype: np.dtype[Any], field: str) -> int:
    """Return the offset of a field in a record."""
    assert dtype.fields is not None
    return int(dtype.fields[field][1])


CONSUMED = place(wire.CPU_RING, "consumed")


class Kernel:
    """The kernel's side of the rings."""

    def __init__(self, cpus: int = 2, slots: int = 8) -> None:
        self.cpus, self.slots, self.now, self.places = cpus, slots, 1_000, 0
        self.fds = [os.memfd_create(name) for name in ("events", "cpu_rings", "ring")]
        for fd, size in zip(self.fds, (cpus * slots * STRIDE, cpus * wire.CPU_RING.itemsize, 4 * PAGE), strict=True):
            os.truncate(fd, -(-size // PAGE) * PAGE)
        self._events, self._cpu_rings, self._ring = self.fds
        # Memory is not zero after the first round: the old contents of a slot must not matter.
        os.pwrite(self._events, b"\xff" * (cpus * slots * STRIDE), 0)
        self._defined = 0

    def reader(self) -> Reader:
        cpu_rings = CpuRings(self._events, self._cpu_rings, self.cpus, self.slots)
        return Reader(cpu_rings, Ring(self._ring, PAGE), Definitions(1000, 1000), Clock(self.clock))

    def clock(self, _number: int) -> int:
        return self.now

    def room(self, cpu: int) -> bool:
        return self._position(cpu) - self._consumed(cpu) + 3 <= self.slots

    def _position(self, cpu: int) -> int:
        return int(struct.unpack("<Q", os.pread(self._cpu_rings, 8, cpu * wire.CPU_RING.itemsize))[0])

    def _consumed(self, cpu: int) -> int:
        return int(struct.unpack("<Q", os.pread(self._cpu_rings, 8, cpu * wire.CPU_RING.itemsize + CONSUMED))[0])

    def _write(self, cpu: int, position: int, record: bytes) -> None:
        os.pwrite(self._events, record, (cpu * self.slots + position % self.slots) * STRIDE)

    def event(self, cpu: int, ext: dict[str, Any] | None = None, **fields: int) -> None:
        """Write one event. With ``more`` two slots, never across the CPU ring's end: an empty slot is written before."""
        self.now += 1
        at = self._position(cpu)
        event = np.zeros(1, wire.EVENT)
        for name, value in ({"time": self.now, "call": READ, "task": 1, "file": 1, "fd": 3} | fields).items():
            event[name] = value
        if ext is not None:
            if (at + 1) % self.slots == 0:
                os.pwrite(self._events, b"\0\0", (cpu * self.slots + at % self.slots) * STRIDE + place(wire.EVENT, "call"))
                at += 1
            event["flags"] |= wire.HAS_EXT
            second = np.zeros(1, wire.EVENT_EXT)
            for name, value in ext.items():
                second[name] = value
            self._write(cpu, at + 1, second.tobytes())
        self._write(cpu, at, event.tobytes())
        os.pwrite(self._cpu_rings, struct.pack("<Q", at + 1 + (ext is not None)), cpu * wire.CPU_RING.itemsize)

    def define(self, record: bytes, flag: int = 0) -> int:
        """Write a definition; return the offset of its header."""
        at = 2 * PAGE + self._defined
        os.pwrite(self._ring, struct.pack("<II", len(record) | flag, 0) + record, at)
        self._defined += -(-(len(record) + HEADER) // 8) * 8
        os.pwrite(self._ring, struct.pack("<Q", self._defined), PAGE)
        return at

    def finish(self, at: int, length: int) -> None:
        os.pwrite(self._ring, struct.pack("<I", length), at)

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
