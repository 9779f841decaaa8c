"""BPF_MAP_TYPE_RINGBUF mapped and read without a call per record (kernel/bpf/ringbuf.c).

Apart, because it is the one place where memory that the kernel writes is read. Next: reader.py drains the two rings
in the right order.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import threading
from collections.abc import Iterator
from typing import Final

import numpy as np

from filetap import model
from filetap.model import Records

PAGE: Final = mmap.PAGESIZE
BUSY: Final = 1 << 31
DISCARD: Final = 1 << 30
HEADER: Final = 8
_lock = threading.Lock()


def barrier() -> None:
    """Orders loads and stores around it. x86-64 needs none; arm64 does, and taking a lock is one there."""
    with _lock:
        pass


class Ring:
    """A ring buffer map. Positions count bytes since its creation and never wrap."""

    def __init__(self, fd: int, size: int) -> None:
        """``fd``: the map's; ``size``: its max_entries, a power of two of at least one page, in bytes."""
        self.size = size
        self._consumer_page = mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._pages = mmap.mmap(fd, PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE)
        self._consumer = ctypes.c_uint64.from_buffer(self._consumer_page)
        self._producer = np.frombuffer(self._pages, "<u8", 1)
        self._data = np.frombuffer(self._pages, "u1", 2 * size, PAGE)
        self.position = self._consumer.value

    def produced(self) -> int:
        """Where the kernel will write next."""
        position = int(self._producer[0])
        barrier()
        return position

    def release(self, position: int) -> None:
        """Give everything before ``position`` back to the kernel. Views of it are void from now on."""
        barrier()
        self.position = position
        self._consumer.value = position

    def slots(self, until: int, most: int = 16384) -> Records:
        """The next finished 64-byte slots before ``until``, at most ``most``; a view. Stops at a busy one."""
        count = min((until - self.position) // model.EVENT.itemsize, most)
        start = self.position & (self.size - 1)
        view = self._data[start : start + count * model.EVENT.itemsize].view(model.EVENT)
        busy = view["header"] & BUSY != 0
        barrier()
        return view[: int(busy.argmax())] if busy.any() else view

    def records(self, until: int) -> Iterator[bytes]:
        """Finished records of any length before ``until``, copied; each is released with the next. Stops at a busy one."""
        while self.position < until:
            start = self.position & (self.size - 1)
            header = int(struct.unpack_from("<I", self._pages, PAGE + start)[0])
            if header & BUSY:
                return
            barrier()
            length = header & ~DISCARD
            if not header & DISCARD:
                yield self._pages[PAGE + start + HEADER : PAGE + start + HEADER + length]
            self.release(self.position + ((length + HEADER + 7) & ~7))
