"""Drains the CPU rings and the definitions ring into batches, in a valid order.

Separate from the session, so that decoding is tested without a kernel. The rule: read the CPU rings' positions, then all
definitions, then the events up to those positions; so no event refers to an unknown id.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from filetap.capture.decode import text
from filetap.capture.definitions import Definitions
from filetap.core import wire
from filetap.core.batch import UNKNOWN_USER, Batch, File, Task
from filetap.core.clock import Clock
from filetap.core.errors import KernelError
from filetap.core.wire import Records
from filetap.kernel.ring import CpuRings, Ring

MOST: Final = 16384
"""Events of a CPU ring per batch: what fits in the cache."""
FEW: Final = 2048
PID_LIMIT: Final = 1 << 22
"""PID_MAX_LIMIT, include/linux/threads.h."""
NO_EXT: Final = np.zeros(0, wire.EVENT_EXT)
MADE: Final = 1 << 31
"""Ids from here on are made by the reader: the kernel's start at zero."""


class Reader:
    """Both rings and the definitions read so far."""

    def __init__(self, cpu_rings: CpuRings, ring: Ring, definitions: Definitions, clock: Clock) -> None:
        self.cpu_rings, self.ring, self.definitions, self.clock = cpu_rings, ring, definitions, clock
        self._met = np.zeros(PID_LIMIT, bool)
        self._made = MADE

    def drain(self, final: bool = False) -> Iterator[Batch]:
        """Yield what is there now. ``final``: the probes are detached and nothing more will come."""
        horizon = (1 << 63) if final else self.clock.boot()
        positions = self.cpu_rings.produced()
        self._read_definitions()
        offset = self.clock.offset()
        while (busy := np.nonzero(positions > self.cpu_rings.consumed())[0]).size:
            views = {int(cpu): self._view(int(cpu), int(positions[cpu]), horizon) for cpu in busy}
            views = self._common_horizon(views, positions)
            taken = {cpu: len(view) for cpu, view in views.items()}
            if not sum(taken.values()):
                break
            for events in self._in_thread_order([view for view in views.values() if len(view)]):
                whole, ext = self._whole(events)
                yield Batch(whole, self.definitions.files, self.definitions.tasks, offset, ext, self.definitions.files.made)
                self.definitions.drop_temporary()
            for cpu, count in taken.items():
                self.cpu_rings.release(cpu, count)
        self.definitions.end_drain()

    def _read_definitions(self) -> None:
        """Read all definitions submitted so far; wait for one that is being written, for ten seconds since the one before."""
        until, reached = self.ring.produced(), -1
        while self.ring.position < until:
            if self.ring.position > reached:
                reached, deadline = self.ring.position, time.monotonic() + 10
            elif time.monotonic() > deadline:
                raise KernelError(
                    "internal error: an unfinished definition in the ring; report it with the output of filetap doctor --json"
                )
            for record in self.ring.records(until):
                if len(record) >= wire.DEFINITION_FIXED:
                    self.definitions.apply(record)

    def _view(self, cpu: int, until: int, horizon: int) -> Records:
        """Return a CPU ring's next slots up to ``horizon``, both slots of an event or neither."""
        view = self.cpu_rings.slots_of(cpu, until, MOST)
        if len(view) and not view["call"][0]:  # the CPU ring's last slot, left empty before an event of two
            self.cpu_rings.release(cpu, 1)
            view = self.cpu_rings.slots_of(cpu, until, MOST)
        late = (view["time"] > horizon) & (view["call"] != 0)
        if late.any():
            view = view[: int(late.argmax())]
        return view[:-1] if len(view) and view["call"][-1] and view["flags"][-1] & wire.HAS_EXT else view

    def _common_horizon(self, views: dict[int, Records], positions: np.ndarray) -> dict[int, Records]:
        """Cut all views where the first one that continues ends, so that events of a thread stay in order."""
        consumed = self.cpu_rings.consumed()
        ends = [
            int(view["time"][view["call"] != 0].max())
            for cpu, view in views.items()
            if len(view) and int(consumed[cpu]) + len(view) < int(positions[cpu])
        ]
        if not ends or len(views) == 1:
            return views
        end = min(ends)
        return {cpu: self._until(view, end) for cpu, view in views.items()}

    @staticmethod
    def _until(view: Records, end: int) -> Records:
        late = (view["time"] > end) & (view["call"] != 0)
        return view[: int(late.argmax())] if late.any() else view

    def _in_thread_order(self, views: list[Records]) -> Iterator[Records]:
        """Yield the views one by one; merged by time if a thread has moved from one CPU to another, and if they are few,
        because then a person may be reading along."""
        shared = len(views) > 1 and sum(map(len, views)) <= FEW
        for view in views:
            shared = shared or bool(self._met[view["tid"] & (PID_LIMIT - 1)].any())
            self._met[view["tid"] & (PID_LIMIT - 1)] = True
        for view in views:
            self._met[view["tid"] & (PID_LIMIT - 1)] = False
        if not shared:
            yield from views
            return
        merged = np.concatenate(views)
        second = np.nonzero(merged["call"] == 0)[0]
        times = merged["time"].copy()
        times[second] = times[second - 1]  # the second slot of an event stays after the first
        yield merged[np.argsort(times, kind="stable")]

    def _whole(self, events: Records) -> tuple[Records, Records]:
        """Return the rows that are events, and the second slots of those that have one. An event without an id for its file
        or task carries the identity there; it gets an id from the reader."""
        if events["call"].all():
            return events, NO_EXT
        first = np.nonzero(events["flags"] & wire.HAS_EXT * (events["call"] != 0))[0]
        whole, ext = events.copy(), events[first + 1].view(wire.EVENT_EXT)
        for i in np.nonzero((ext["inode"] != 0) | (ext["pid"] != 0))[0].tolist():
            row = first[i]
            whole["file"][row] = whole["file"][row] or self._make_file(ext[i])
            whole["task"][row] = whole["task"][row] or self._make_task(ext[i], int(events["tid"][row]))
        return whole[events["call"] != 0], ext

    def new_id(self) -> int:
        """Return an id for a file or task that the kernel did not define."""
        self._made += 1
        return self._made

    def _make_file(self, identity: np.void) -> int:
        file = File(self.new_id(), b"", resolved=False, inode=int(identity["inode"]), generation=int(identity["generation"]))
        if not file.inode:
            return 0
        self.definitions.add_temporary(file)
        return file.id

    def _make_task(self, identity: np.void, tid: int) -> int:
        if not identity["pid"]:
            return 0
        comm = text(bytes(identity["comm"]))
        user = replace(UNKNOWN_USER, euid=int(identity["euid"]))
        task = Task(self.new_id(), int(identity["pid"]), tid, comm, comm, ppid=int(identity["ppid"]), credentials=user)
        self.definitions.add_temporary(task)
        return task.id
