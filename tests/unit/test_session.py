"""A session with a source that the test makes up: its order of calls, its stages, and that seen = delivered + aggregated + lost.

Without a kernel: tests/kernel has sessions with the real source.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from filetap.capture.outlet import Outlet
from filetap.capture.pending import Listing
from filetap.capture.session import OutputError, Session
from filetap.core import wire
from filetap.core.batch import Batch, File, Overflow, Task
from filetap.core.calls import CALL_NUMBER, OP_NUMBER
from filetap.core.errors import FiletapError
from filetap.core.sink import Beginning, Sink
from filetap.core.stage import Stage
from filetap.core.statistics import Statistics
from filetap.core.wire import Records
from tests.unit.batches import batch_of

FILES = [File(1, b"/a"), File(2, b"/b")]
TASKS = [Task(1, 7, 7, b"t", b"t")]


def reads(*sizes: int) -> Batch:
    rows = [{"call": CALL_NUMBER["read"], "result": size, "size": size, "file": 1, "task": 1} for size in sizes]
    return batch_of(*rows, files=FILES, tasks=TASKS)


class FakeSource:
    """Hands out batches, one list for each drain, the last one for the final drain. ``did``: what was called."""

    def __init__(self, *drains: list[Batch], overflow: int = 0) -> None:
        self.hooks, self.untraced = {"vfs_unlink": "lsm"}, ["not seen: x"]
        self.did: list[str] = []
        self._drains = list(drains)
        self._seen = sum(len(batch.events) for batches in drains for batch in batches) + overflow
        self._overflow = overflow
        self.fd = os.eventfd(0)

    def _do(self, name: str) -> None:
        self.did.append(name)

    def attach(self) -> None:
        self._do("attach")

    def start(self) -> None:
        self._do("start")

    def stop(self) -> None:
        self._do("stop")

    def detach(self) -> None:
        self._do("detach")

    def close(self) -> None:
        self._do("close")
        os.close(self.fd)

    def woken(self) -> None:
        os.eventfd_read(self.fd)

    def refresh(self) -> None:
        pass

    def drain(self, final: bool = False) -> Iterator[Batch]:
        self._do("last drain" if final else "drain")
        if final:
            yield from (batch for batches in self._drains for batch in batches)
        elif self._drains:
            yield from self._drains.pop(0)

    def stages(self) -> list[Stage]:
        return []

    def take_sums(self) -> tuple[Records, Records]:
        raise AssertionError

    def forget(self) -> None:
        raise AssertionError

    def known(self) -> Batch:
        return reads()

    def look(self) -> Records:
        return np.zeros(0, wire.PENDING_CALL)

    def look_again(self, before: Records) -> Listing:
        self._do("look again")
        return Listing(before, [])

    def pending(self, listing: Listing) -> Batch:
        return reads()

    def release(self) -> None:
        pass

    def counters(self) -> Records:
        made = np.zeros(2, wire.COUNTERS)
        made["seen"][1][OP_NUMBER["read"]], made["aggregated"][0][OP_NUMBER["read"]] = self._seen, self._overflow
        return made

    def overflows(self) -> list[Overflow]:
        return [Overflow(1, 1, OP_NUMBER["read"], self._overflow, 10, 1, 2)] * bool(self._overflow)

    def missed(self) -> int:
        return 0

    def processes(self) -> int:
        return 1

    def notes(self) -> list[str]:
        return self.untraced

    def silence(self, unmatched: int) -> list[str]:
        return [f"{unmatched} unmatched"]


class Sizes(Sink):
    """Keeps the sizes of events. ``room``: how many it can take."""

    def __init__(self, room: int = 1000) -> None:
        self.sizes: list[int] = []
        self.beginning: Beginning | None = None
        self.overflows: list[Overflow] = []
        self._room = room

    def begin(self, beginning: Beginning) -> None:
        self.beginning = beginning

    def write(self, batch: Batch) -> None:
        fitting = batch.events["size"].tolist()[: self._room - len(self.sizes)]
        self.sizes += fitting
        self.written += len(fitting)
        if len(fitting) < len(batch.events):
            raise OSError(errno.ENOSPC, "No space left on device")

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        self.overflows += overflows


def run(session: Session, times: int) -> Statistics:
    for _ in range(times):
        session.run_once(0)
    return session.finish()


def test_a_run_from_the_beginning_to_the_end() -> None:
    source, sink = FakeSource([reads(1, 2)], [reads(3), reads(4, 5)], [reads(6)], overflow=9), Sizes()
    stats = run(Session(source, [Outlet(sink)]), 2)
    assert sink.sizes == [1, 2, 3, 4, 5, 6]
    assert sink.beginning == Beginning({"vfs_unlink": "lsm"}, ["not seen: x"])
    assert [overflow.count for overflow in sink.overflows] == [9]
    assert source.did == ["attach", "start", "drain", "drain", "stop", "look again", "detach", "last drain", "close"]
    assert (stats.total.seen, stats.total.delivered, stats.total.aggregated, stats.total.lost) == (15, 6, 9, 0)
    assert (stats.total.bytes, stats.notes, stats.reasons) == (31, ["not seen: x"], [])


def test_the_last_output_ends_the_run() -> None:
    """What comes after its failure is counted."""
    source = FakeSource([reads(1, 2, 3)], [reads(4)], [reads(5)])
    outlet = Outlet(Sizes(room=2), "a")
    session = Session(source, [outlet])
    with pytest.raises(OutputError, match="cannot write to a: No space left on device"):
        session.run_once(0)
    stats = session.finish()
    assert (stats.total.seen, stats.total.delivered, stats.total.lost) == (5, 2, 3)
    assert stats.notes[-1] == "writing the output failed: the events after that are lost"
    assert (outlet.statistics().written, outlet.statistics().dropped) == (2, 3)
    assert source.did[-1] == "close"


def test_an_output_that_does_not_begin_leaves_no_source() -> None:
    class Refusing(Sink):
        def begin(self, beginning: Beginning) -> None:
            raise FiletapError("no")

    source = FakeSource()
    with pytest.raises(FiletapError, match="no"):
        Session(source, [Outlet(Refusing())])
    assert source.did == ["attach", "close"]


class Even(Stage):
    """Drops events of odd sizes."""

    def take(self, batch: Batch) -> Iterator[Batch]:
        odd = batch.events["size"] % 2 == 1
        self.dropped[OP_NUMBER["read"]] += int(odd.sum())
        yield batch.where(~odd)


class Held(Stage):
    """Holds each batch back until the next one has come."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Batch] = []

    def take(self, batch: Batch) -> Iterator[Batch]:
        before, self._held = self._held, [batch.detached()]
        yield from before

    def end(self) -> Iterator[Batch]:
        yield from self._held


def test_stages_in_their_order() -> None:
    """What one drops is not requested; what one holds back comes later, at the latest at the end."""
    sink = Sizes()
    session = Session(FakeSource([reads(1, 2)], [reads(3, 4)], [reads(6)]), [Outlet(sink)], stages=[Even(), Held()])
    session.run_once(0)
    assert sink.sizes == []
    session.run_once(0)
    assert sink.sizes == [2]
    stats = session.finish()
    assert sink.sizes == [2, 4, 6]
    assert (stats.total.seen, stats.total.delivered, stats.total.lost) == (3, 3, 0)


def test_a_run_of_which_nothing_is_left_says_why() -> None:
    stats = run(Session(FakeSource([reads(1, 3)]), [Outlet(Sizes())], stages=[Even()]), 1)
    assert stats.reasons == ["2 unmatched"]
