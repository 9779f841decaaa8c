"""Memory that the kernel writes and filetap reads in place: the CPU rings of events, and the definitions ring.

Separate, because it is the only place that reads memory which another CPU writes.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import threading
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filetap.core import wire
from filetap.core.wire import Records

PAGE: Final = mmap.PAGESIZE
BUSY: Final = 1 << 31
DISCARD: Final = 1 << 30
HEADER: Final = 8
_lock = threading.Lock()


def barrier() -> None:
    """Order loads and stores around it. x86-64 needs no barrier; arm64 does, and taking a lock is one there."""
    with _lock:
        pass


def _map(fd: int, size: int, writable: bool, offset: int = 0) -> mmap.mmap:
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    return mmap.mmap(fd, -(-size // PAGE) * PAGE, mmap.MAP_SHARED, protection, offset=offset)


class CpuRings:
    """The events: one CPU ring of slots for each CPU, in two BPF arrays. Positions count slots and never wrap."""

    def __init__(self, events: int, cpu_rings: int, cpus: int, slots: int) -> None:
        """``events``, ``cpu_rings``: the maps' descriptors; ``slots``: of each CPU ring, a power of two."""
        self.slots = slots
        size = cpus * slots
        self._events = np.frombuffer(_map(events, size * wire.EVENT.itemsize, False), wire.EVENT, size)
        self._ends = np.frombuffer(_map(cpu_rings, cpus * wire.CPU_RING.itemsize, True), wire.CPU_RING, cpus)

    def produced(self) -> NDArray[np.uint64]:
        """Return where the kernel will write next, one position per CPU."""
        positions = self._ends["produced"].copy()
        barrier()
        return positions

    def consumed(self) -> NDArray[np.uint64]:
        """Return the read positions, one per CPU. A view: it changes with ``release``."""
        view: NDArray[Any] = self._ends["consumed"]
        return view

    def slots_of(self, cpu: int, until: int, most: int) -> Records:
        """Return the next slots of a CPU ring before ``until``: at most ``most``, and not past the CPU ring's end. A view."""
        position = int(self._ends["consumed"][cpu])
        start = position & (self.slots - 1)
        count = min(until - position, most, self.slots - start)
        return self._events[cpu * self.slots + start :][:count]

    def release(self, cpu: int, count: int) -> None:
        """Give the next ``count`` slots back to the kernel. Views of them are void from now on."""
        barrier()
        self._ends["consumed"][cpu] += np.uint64(count)


def view_globals(fd: int) -> Records:
    """Return struct globals, one record, live."""
    return np.frombuffer(_map(fd, wire.GLOBALS.itemsize, True), wire.GLOBALS, 1)


class Ring:
    """A BPF_MAP_TYPE_RINGBUF, read without a call per record (kernel/bpf/ringbuf.c)."""

    def __init__(self, fd: int, size: int) -> None:
        """``size``: its max_entries, a power of two of at least one page, in bytes."""
        self.fd = fd
        self.size = size
        self._consumer_page = _map(fd, PAGE, True)
        self._pages = _map(fd, PAGE + 2 * size, False, PAGE)
        self._consumer = ctypes.c_uint64.from_buffer(self._consumer_page)
        self.position = self._consumer.value

    def produced(self) -> int:
        """Return where the kernel will write next, in bytes since the start."""
        position = int(struct.unpack_from("<Q", self._pages)[0])
        barrier()
        return position

    def records(self, until: int) -> Iterator[bytes]:
        """Yield finished records before ``until``, copied; each is released with the next. Stops at a busy one."""
        while self.position < until:
            start = PAGE + (self.position & (self.size - 1))
            header = int(struct.unpack_from("<I", self._pages, start)[0])
            if header & BUSY:
                return
            barrier()
            length = header & ~DISCARD
            if not header & DISCARD:
                yield self._pages[start + HEADER : start + HEADER + length]
            self.release(self.position + ((length + HEADER + 7) & ~7))

    def release(self, position: int) -> None:
        """Give everything before ``position`` back to the kernel."""
        self.position = position
        self._consumer.value = position
