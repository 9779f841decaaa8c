"""A stage between a source and the outputs: it adds to batches, filters them, or holds them back for a while."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from filetap.core import wire
from filetap.core.batch import Batch
from filetap.core.wire import Records


class Stage:
    """Passes everything on. A stage overrides what it changes; the session runs the stages in their order."""

    def __init__(self) -> None:
        self.dropped = np.zeros(wire.MAX_OPS, np.int64)
        """Dropped events per op, which the source has counted as seen. Minus those that it has not counted, and that pass."""

    def describe(self, batch: Batch) -> Batch:
        """Return the batch with what this stage adds to its files and tasks. Also called for batches that hold no events of the
        run: pending calls, and what sums refer to."""
        return batch

    def take(self, batch: Batch) -> Iterator[Batch]:
        """Yield what passes now, in order. A batch that is held back must be ``detached``, and only for a bounded time."""
        yield self.describe(batch)

    def end(self) -> Iterator[Batch]:
        """Yield what is held back: nothing more will come."""
        yield from ()

    def take_sums(self, keys: Records, values: Records, known: Batch) -> tuple[Records, Records]:
        """Return which of the kernel's sums pass. ``known``: of Source.known."""
        return keys, values
