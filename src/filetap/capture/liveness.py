"""How many of the processes that were named, and of their descendants, still run: who waits for their end asks here.

Apart from source.py, because the kernel half's own count is not enough where the kernel skips programs: an end that nobody
saw would be waited for for ever.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from filetap.core.wire import Records
from filetap.kernel.loader import Object

INTERVAL: Final = 1.0
"""Seconds from one look to the next."""


class TargetLiveness:
    """By the kernel half's count, unless it has missed ends: then by what runs."""

    def __init__(self, kernel_globals: Records, process: Object, iterators: Object) -> None:
        """``kernel_globals``: struct globals; the objects that count births and ends, and that find what runs."""
        self._globals, self._process, self._iterators = kernel_globals, process, iterators
        self._due = 0.0
        self._none = False

    def count(self) -> int:
        """More than run, perhaps, but 0 when none does."""
        counted = int(self._globals["live"][0])
        if counted > 0 and time.monotonic() >= self._due:
            self._due = time.monotonic() + INTERVAL
            self._none = self._process.missed() > 0 and not self.found()
        return 0 if self._none else counted

    def found(self) -> set[int]:
        """Those that run. Twice, for a child of one not yet seen may be born behind the iterator's back."""
        return {int(pid) for _ in range(2) for pid in np.frombuffer(self._iterators.run_iterator("find_living"), "<u4")}
