"""How many of the target processes, and of their descendants, still run: this decides when a run ends.

Separate from kernel_source.py, because the kernel half's own count is not enough where the kernel skips programs: filetap would wait
for ever for an exit that was not seen.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from filetap.core.wire import Records
from filetap.kernel.loader import Object

INTERVAL: Final = 1.0
"""Seconds between two lookups."""


class TargetLiveness:
    """The kernel half's count, unless it has missed exits: then the running tasks."""

    def __init__(self, kernel_globals: Records, process: Object, iterators: Object) -> None:
        """``kernel_globals``: struct globals; the objects that count forks and exits, and that find running tasks."""
        self._globals, self._process, self._iterators = kernel_globals, process, iterators
        self._due = 0.0
        self._none = False

    def count(self) -> int:
        """Return how many run: possibly too many, but 0 if none does."""
        counted = int(self._globals["live"][0])
        if counted > 0 and time.monotonic() >= self._due:
            self._due = time.monotonic() + INTERVAL
            self._none = self._process.missed() > 0 and not self.found()
        return 0 if self._none else counted

    def found(self) -> set[int]:
        """Return those that run. Twice, because a task that the iterator has not reached may fork a child that it misses."""
        return {int(pid) for _ in range(2) for pid in np.frombuffer(self._iterators.run_iterator("find_living"), "<u4")}
