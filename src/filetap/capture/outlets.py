"""All outputs of a run, and the count of what reached at least one of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from filetap.capture.delivery import Delivery
from filetap.capture.outlet import Item, Outlet
from filetap.capture.statistics import Tally
from filetap.core.batch import Batch, Overflow
from filetap.core.errors import FiletapError
from filetap.core.sink import Beginning, Sink
from filetap.core.statistics import OutputStatistics, Statistics

LOST: Final = ", the rest are counted as lost"
"""Of a failure that leaves no output."""


class Outlets:
    """Gives each output what happens, in the same order. One that fails gets nothing more, and the others go on."""

    def __init__(self, outlets: Sequence[Outlet]) -> None:
        self._outlets = list(outlets)
        self._outputs = [outlet for outlet in outlets if not outlet.view]
        self._delivery = Delivery()

    def begin(self, beginning: Beginning) -> None:
        for outlet in self._outlets:
            outlet.begin(beginning)

    def set_draining(self) -> None:
        """Let sinks wait for a slow reader only a little longer. Safe in a signal handler."""
        for outlet in self._outlets:
            outlet.sink.draining = True

    def write(self, batch: Batch) -> None:
        """Write a batch, which is void afterwards."""
        receipt = self._delivery.hand_over(batch.events, len(self._outputs))
        held = batch.detached() if self._any_queued else batch
        for outlet in self._outlets:
            outlet.write(held if outlet.queued else batch, receipt if outlet in self._outputs else None)

    def pending(self, batch: Batch) -> None:
        """Write pending calls."""
        self._put(partial(_pending, batch.detached() if self._any_queued else batch))

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        """Write what was not delivered singly."""
        also = {"files": [one.file for one in overflows], "tasks": [one.task for one in overflows]}
        self._put(partial(_aggregated, overflows, batch.detached(also) if self._any_queued else batch))

    def _put(self, act: partial[None]) -> None:
        for outlet in self._outlets:
            outlet.put(Item(act))

    @property
    def _any_queued(self) -> bool:
        return any(outlet.queued for outlet in self._outlets)

    def flush(self) -> None:
        for outlet in self._outlets:
            outlet.flush()

    def drain(self) -> None:
        """Wait until everything is written, or was dropped."""
        for outlet in self._outlets:
            outlet.drain()

    @property
    def failure(self) -> str:
        """Return why no output is left; nothing if one is."""
        failures = [outlet.failure for outlet in self._outputs]
        return failures[0] if failures and all(failures) else ""

    @property
    def delivered(self) -> Tally:
        """Return what has been written by at least one output."""
        return self._delivery.tally

    def statistics(self) -> list[OutputStatistics]:
        """Return the counts of each output, if there are several, or one has a queue."""
        return [outlet.statistics() for outlet in self._outputs] if len(self._outputs) > 1 or self._any_queued else []

    def finish(self, statistics: Statistics) -> list[FiletapError]:
        """Complete all outputs. Return what failed."""
        return [error for error in [self._finished(outlet, statistics) for outlet in self._outlets] if error]

    def _finished(self, outlet: Outlet, statistics: Statistics) -> FiletapError | None:
        """Complete an output. Return why that failed, or why it had failed before."""
        unfinished: FiletapError | None = None
        try:
            outlet.finish(statistics)
        except FiletapError as error:
            unfinished = error
        except OSError as error:
            outlet.failure = outlet.failure or f"cannot write to {outlet.name}: {error.strerror or error}"
        if not outlet.trouble:
            return unfinished
        return FiletapError(f"{outlet.trouble}; events already written are kept{LOST if self.failure else ''}")

    def abort(self, reason: str) -> None:
        """End all outputs: the run did not begin, or broke off."""
        for outlet in self._outlets:
            with suppress(OSError, FiletapError):
                outlet.abort(reason)


def _pending(batch: Batch, sink: Sink) -> None:
    sink.pending(batch)


def _aggregated(overflows: Sequence[Overflow], batch: Batch, sink: Sink) -> None:
    sink.aggregated(overflows, batch)
