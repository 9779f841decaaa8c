"""A recording as the source of a session: a replay."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from filetap.capture.outlet import Outlet
from filetap.capture.pending import Listing
from filetap.capture.session import OutputError, Session
from filetap.core import wire
from filetap.core.batch import Batch, Overflow
from filetap.core.stage import Stage
from filetap.core.statistics import Statistics
from filetap.core.wire import Records
from filetap.recording.replay import Replay


class RecordedSource:
    """Makes the batches of a replay, some with each drain, in the order of the recording. It counts what it has made as seen."""

    PORTION: Final = 1 << 18
    """Events of a drain, about: sinks are flushed after each."""

    def __init__(self, played: Replay) -> None:
        self.hooks, self.untraced = dict(played.metadata.hooks), list[str]()
        self.exhausted = False
        """There are no more events."""
        self._played, self._batches = played, played.events()
        self._counters = np.zeros(1, wire.COUNTERS)
        self._overflows: list[Overflow] | None = None
        self.fd = os.eventfd(1)
        """Always readable: there is never anything to wait for."""

    def attach(self) -> None:
        """Do nothing: the recording is open."""

    def start(self) -> None:
        """Do nothing: everything counts."""

    def stop(self) -> None:
        """Do nothing: what was recorded is known."""

    def detach(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        os.close(self.fd)

    def woken(self) -> None:
        """Stay readable."""

    def refresh(self) -> None:
        """Do nothing: nothing changes."""

    def drain(self, final: bool = False) -> Iterator[Batch]:
        """Yield the next batches; ``final``: all others."""
        count = 0
        for batch in self._batches:
            count += len(batch.events)
            self._counters["seen"][0] += np.bincount(wire.OP_OF_CALL[batch.events["call"]], minlength=wire.MAX_OPS).astype(np.uint64)
            yield batch
            if count >= self.PORTION and not final:
                return
        self.exhausted = True

    def stages(self) -> Sequence[Stage]:
        """Return none: what stages have added was recorded."""
        return ()

    def take_sums(self) -> tuple[Records, Records]:
        """Raise an error: a recording has no sums of a run that aggregates."""
        raise NotImplementedError

    def forget(self) -> None:
        """Do nothing: a replay knows all files."""

    def known(self) -> Batch:
        return self._played.known()

    def look(self) -> Records:
        return np.zeros(0, wire.PENDING_CALL)

    def look_again(self, before: Records) -> Listing:
        return Listing(before, [])

    def pending(self, listing: Listing) -> Batch:
        """Return the recorded ones, of all listings; their times are as if the clock had not been set in between."""
        batches = list(self._played.pending())
        if not batches:
            return self.known()
        first = batches[0].realtime
        for batch in batches:
            batch.events["time"] = batch.events["time"].astype(np.int64) + (batch.realtime - first)
        events, ext = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("events", "ext"))
        return replace(batches[0], events=events, ext=ext)

    def release(self) -> None:
        """Do nothing."""

    def counters(self) -> Records:
        counters = self._counters.copy()
        for overflow in self.overflows():
            for name in ("seen", "aggregated"):
                counters[name][0][overflow.op] += np.uint64(overflow.count)
        return counters

    def overflows(self) -> list[Overflow]:
        if self._overflows is None:
            self._overflows = self._played.overflows()
        return self._overflows

    def missed(self) -> int:
        return 0

    def processes(self) -> int:
        return len({(task.pid, task.start) for task in self.known().tasks.values() if not task.ancestor})

    def notes(self) -> list[str]:
        return self.untraced

    def silence(self, unmatched: int) -> list[str]:
        return ["the recording has no event that matches"]


def play(played: Replay, outlet: Outlet) -> Statistics:
    """Write everything that matches to an output, and complete it. Raise OSError or FiletapError if it fails."""
    source = RecordedSource(played)
    session = Session(source, [outlet])
    try:
        while not source.exhausted:
            session.run_once(0)
    except OutputError:
        session.finish()
        assert outlet.error
        raise outlet.error from None
    stats = session.finish()
    if outlet.error:
        raise outlet.error
    outlet.finish(stats)
    return stats
