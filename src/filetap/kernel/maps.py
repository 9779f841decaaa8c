"""BPF maps as numpy records: get, put, delete, all of them.

Separate, because bpf(2)'s map calls need buffers of exact sizes.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_uint32

import numpy as np

from filetap.core.wire import Records
from filetap.kernel.libbpf import check, library

ARRAY = 2
"""BPF_MAP_TYPE_ARRAY."""
CONSTANT = 1 << 7 | 1 << 10
"""BPF_F_RDONLY_PROG | BPF_F_MMAPABLE, the flags that libbpf uses for .rodata."""
BATCH = 4096
PREFIX = "ft_"
"""The prefix of our maps and programs in the kernel, so that bpftool shows their owner. Python's names omit it."""
BPF_ANY, BPF_NOEXIST = 0, 1


@contextmanager
def fifo_scheduling() -> Iterator[None]:
    """Keep other tasks from this thread's CPU during the block, as long as the thread does not sleep.

    While bpf(2) works on a map, the kernel skips programs of classic tracepoints and kprobes on that CPU
    (bpf_disable_instrumentation()). On a preemptible kernel other tasks can run there meanwhile, and their calls would not be
    seen. Without the right to do this (CAP_SYS_NICE, or a cgroup without real-time budget) filetap continues without: the
    kernel counts what it skips.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def make_constant(name: str, value: Records) -> int:
    """Return the descriptor of an array whose one element can no longer be changed: the verifier reads it as constants."""
    short = f"{PREFIX}{name.removeprefix('.rodata.')}"
    options = struct.pack("<Q6IQ2I", 48, 0, 0, 0, 0, 0, CONSTANT, 0, 0, 0)  # struct bpf_map_create_opts: its size, ..., map_flags
    fd = check(library().bpf_map_create(ARRAY, short.encode(), ctypes.sizeof(c_uint32), value.nbytes, 1, options), name)
    try:
        Map(fd, np.dtype("<u4"), np.dtype(f"V{value.nbytes}")).put(0, value.tobytes())
        check(library().bpf_map_freeze(fd), name)
    except BaseException:
        os.close(fd)
        raise
    return fd


class Map:
    """One hash or array map, by descriptor. Keys and values are single records or one-element arrays of the dtypes."""

    def __init__(self, fd: int, key: np.dtype, value: np.dtype) -> None:
        self.fd, self._key, self._value = fd, key, value

    def put(self, key: object, value: object) -> None:
        check(self._update(key, value, BPF_ANY), "bpf map")

    def add(self, key: object, value: object) -> bool:
        """Add an entry unless the key exists. Return False if there is no room."""
        error = self._update(key, value, BPF_NOEXIST)
        if error not in (-errno.EEXIST, -errno.E2BIG):
            check(error, "bpf map")
        return error != -errno.E2BIG

    def _update(self, key: object, value: object, flags: int) -> int:
        k, v = np.array([key], self._key), np.array([value], self._value)
        with fifo_scheduling():
            return int(library().bpf_map_update_elem(self.fd, k.ctypes.data, v.ctypes.data, flags))

    def put_all(self, keys: Records, values: Records) -> None:
        """Put all keys and values, which are in the same order."""
        for at in range(0, len(keys), BATCH):
            k, v = (np.ascontiguousarray(part[at : at + BATCH]) for part in (keys, values))
            count = c_uint32(len(k))
            with fifo_scheduling():
                error = library().bpf_map_update_batch(self.fd, k.ctypes.data, v.ctypes.data, ctypes.byref(count), None)
            check(error, "bpf map")

    def delete(self, keys: Records) -> None:
        """Delete those keys that exist."""
        keys = np.ascontiguousarray(keys)
        done = 0
        while done < len(keys):
            count = c_uint32(min(BATCH, len(keys) - done))
            given, address = count.value, keys.ctypes.data + done * keys.itemsize
            with fifo_scheduling():
                library().bpf_map_delete_batch(self.fd, address, ctypes.byref(count), None)
            done += count.value + (count.value < given)  # it stops at a key that does not exist

    def items(self) -> tuple[Records, Records]:
        """Return all keys and all values of a hash map, in the same order."""
        return self._batches(library().bpf_map_lookup_batch)

    def take(self) -> tuple[Records, Records]:
        """Return the same, and empty the map."""
        return self._batches(library().bpf_map_lookup_and_delete_batch)

    def _batches(self, look_up: Callable[..., int]) -> tuple[Records, Records]:
        keys, values = [np.zeros(0, self._key)], [np.zeros(0, self._value)]
        token = np.zeros(max(4, self._key.itemsize), "u1")
        previous: int | None = None
        while True:
            k, v, count = np.zeros(BATCH, self._key), np.zeros(BATCH, self._value), c_uint32(BATCH)
            with fifo_scheduling():
                error = look_up(self.fd, previous, token.ctypes.data, k.ctypes.data, v.ctypes.data, ctypes.byref(count), None)
            keys.append(k[: count.value])
            values.append(v[: count.value])
            if error:  # ENOENT: that was the last
                return np.concatenate(keys), np.concatenate(values)
            previous = token.ctypes.data

    def per_cpu(self, cpus: int) -> Records:
        """Return a per-CPU array's only value, one record per CPU."""
        value = np.zeros(cpus, self._value)
        key = c_uint32(0)
        with fifo_scheduling():
            error = library().bpf_map_lookup_elem(self.fd, ctypes.byref(key), value.ctypes.data)
        check(error, "bpf map")
        return value
