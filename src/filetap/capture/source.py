"""A source of a session's events: the kernel, a recording, or what a test makes up.

Its life: attach, start, any number of drain, stop, detach, a last drain, close.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from filetap.capture.pending import Listing
from filetap.core.batch import Batch, Overflow
from filetap.core.stage import Stage
from filetap.core.wire import Records


class Source(Protocol):
    """Makes batches, and counts what it has seen."""

    hooks: dict[str, str]
    """Of the VFS level: function to its attach type. Known once it is attached; so are ``untraced``."""
    untraced: list[str]
    """Notes on requested operations that are not traced."""

    def attach(self) -> None:
        """Begin, without counting anything yet. Raise FiletapError if that fails; then nothing is left."""

    def start(self) -> None:
        """Count all events from this moment on."""

    def stop(self) -> None:
        """Count no more events from this moment on. What was counted can still be drained."""

    def detach(self) -> None:
        """Stop, and take everything out of the kernel. What was counted can still be drained."""

    def close(self) -> None:
        """Release everything. It may be called at any time."""

    @property
    def fd(self) -> int:
        """Return a descriptor that becomes readable when much is to be drained, until ``woken``."""

    def woken(self) -> None:
        """Reset the wake-up."""

    def refresh(self) -> None:
        """Adapt to what has changed. Called before each drain."""

    def drain(self, final: bool = False) -> Iterator[Batch]:
        """Yield what is there now; a batch is void once the next one is taken. ``final``: after ``detach``."""

    def stages(self) -> Sequence[Stage]:
        """Return the stages that its batches need."""

    def take_sums(self) -> tuple[Records, Records]:
        """Return wire.AGGREGATE_KEY and wire.AGGREGATE: the sums since the last call. Their ids are known after a drain, and
        until ``forget``."""

    def forget(self) -> None:
        """Keep what is known of files bounded."""

    def known(self) -> Batch:
        """Return a batch without events, but with everything that ids refer to."""

    def look(self) -> Records:
        """Return what is pending at this moment, however short: records of wire.PENDING_CALL."""

    def look_again(self, before: Records) -> Listing:
        """Return what was pending then and still is."""

    def pending(self, listing: Listing) -> Batch:
        """Return it as events with the flag PENDING. What they refer to is known after a drain, and until ``release``."""

    def release(self) -> None:
        """Forget what only the last pending calls refer to."""

    def counters(self) -> Records:
        """Return records of wire.COUNTERS, one per CPU."""

    def overflows(self) -> list[Overflow]:
        """Return the events that did not fit in the rings."""

    def missed(self) -> int:
        """Return how often the kernel skipped a program, so that its event was not seen."""

    def processes(self) -> int:
        """Return the number of processes seen."""

    def notes(self) -> list[str]:
        """Return what the figures do not show, ``untraced`` included."""

    def silence(self, unmatched: int) -> list[str]:
        """Return possible reasons why nothing was seen. ``unmatched``: events that stages have dropped."""
