"""A run: a source, a filter, a sink and the account, in the order in which an event meets them.

Apart, because it is the one place that wires them; the command line, the node agent and the tests use it alike.
Next: source.py, where batches come from; account.py, how it ends.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

import numpy as np

from filetap import model
from filetap.account import Account, Delivery, balance, kernel_notes
from filetap.batch import Batch, Fold, Sink
from filetap.clock import Clock
from filetap.errors import FiletapError
from filetap.filters import FailedNames, Filters
from filetap.source import KernelSource, Options

SHORTEST_WAIT: Final = 0.02
LONGEST_WAIT: Final = 0.1


class OutputError(FiletapError):
    """The sink could not take more; what it took stays."""


class Session:
    """Attached from construction to ``finish``."""

    def __init__(self, options: Options, sink: Sink, started: float | None = None) -> None:
        """``started``: time.monotonic() of the start that ``Account.attached`` counts from."""
        self._started = time.monotonic() if started is None else started
        self._sink = sink
        self.source = KernelSource(options, Clock())
        self._attached = time.monotonic()
        self._delivery = Delivery()
        self.failure: OutputError | None = None
        """Why the sink got no more."""
        self._names = NameFilter(options.filters)
        self._wait = SHORTEST_WAIT
        self._wakers: set[int] = set()
        self._poll = select.poll()
        self._poll.register(self.source.fd, select.POLLIN)

    def wake_by(self, fd: int) -> None:
        """A descriptor that ends ``pump``'s sleep, once, when it becomes readable."""
        self._poll.register(fd, select.POLLIN)
        self._wakers.add(fd)

    def pump(self, limit: float = LONGEST_WAIT) -> int:
        """Sleep at most ``limit`` seconds, then hand over what there is. Returns the number of events."""
        for fd, _ in self._poll.poll(max(0.0, min(self._wait, limit)) * 1000):
            if fd in self._wakers:
                self._poll.unregister(fd)
                self._wakers.remove(fd)
            else:
                self.source.woken()
        self.source.mind_threads()
        count = self._deliver(final=False)
        self._wait = SHORTEST_WAIT if count else min(self._wait * 2, LONGEST_WAIT)
        return count

    def _deliver(self, final: bool) -> int:
        count = 0
        for drained in self.source.drain(final):
            batch = self._names.without_unwanted(drained)
            if len(batch.events):
                self._delivery.hand_over(batch.events)
                self._to_sink(partial(self._sink.write, batch))
                count += len(batch.events)
        if count:
            self._to_sink(self._sink.flush)
        return count

    def _to_sink(self, act: Callable[[], None]) -> None:
        """What the sink has written counts as delivered, whatever happens to the rest."""
        try:
            act()
        except OSError as error:
            text = f"the output takes no more ({error.strerror}): what it took stays, the account tells the rest"
            self.failure = OutputError(text)
            raise self.failure from None
        finally:
            self._delivery.settle(self._sink.written)

    def finish(self) -> Account:
        """Detach, hand over the rest, settle the account, give everything back. The sink stays open."""
        ended = time.monotonic()
        self.source.detach()
        try:
            self._deliver_the_rest()
        finally:
            account = self._account(self.source.folds(), ended)
            self.source.close()
        return account

    def _deliver_the_rest(self) -> None:
        """After a failure of the output nothing more is written, and that is no second failure."""
        with suppress(OutputError):
            if not self.failure:
                self._deliver(final=True)
            if not self.failure and (folds := self.source.folds()):
                self._to_sink(partial(self._sink.folded, folds, self._nothing()))

    def _nothing(self) -> Batch:
        """No events, but what folds name."""
        known = self.source.definitions
        return Batch(np.zeros(0, model.EVENT), known.files, known.tasks, Clock().offset())

    def _account(self, folds: list[Fold], ended: float) -> Account:
        counters = self.source.counters()
        used = os.times()
        return Account(
            ops=balance(counters, self._delivery.tally, folds, self._names.dropped),
            files=int(counters["files"].sum()),
            processes=self.source.definitions.processes,
            elapsed=ended - self._attached,
            attached=self._attached - self._started,
            cpu=used.user + used.system,
            notes=kernel_notes(counters) + ["the output took no more: events it did not take are lost"] * bool(self.failure),
        )


class NameFilter:
    """The one filter in user space: names that led to no file are matched as they were asked for (CONTRACT)."""

    def __init__(self, filters: Filters) -> None:
        self._names = FailedNames(filters)
        self.dropped = np.zeros(model.MAX_OPS, np.int64)
        """Events let go, per op: the kernel has counted them as seen."""

    def without_unwanted(self, batch: Batch) -> Batch:
        if not self._names.needed or not (named := batch.events["fd"] < 0).any():
            return batch
        files = {number: batch.files.get(number) for number in np.unique(batch.events["file"][named]).tolist()}
        unwanted = [n for n, file in files.items() if not file or not (file.resolved or self._names.wants(file.path))]
        drop = named & np.isin(batch.events["file"], unwanted)
        self.dropped += np.bincount(model.OP_OF_CALL[batch.events["call"][drop]], minlength=model.MAX_OPS)
        return Batch(batch.events[~drop], batch.files, batch.tasks, batch.realtime)
