"""Progress reporting: the worker updates it, the UI thread polls it.

Separate, because the code that opens or repairs a recording does not know about terminals.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Share = Callable[[], float]
"""Return the progress, 0 to 1; below 0: not known. May be called from another thread."""
Begin = Callable[[str, Share], None]
"""Called when long work begins, with its name and its progress."""


def no_progress(_what: str, _done: Share) -> None:
    """Show no progress."""


class Count:
    """A counter with a total, updated by several threads."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._lock = total, 0, threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count

    def share(self) -> float:
        return self._done / self._total if self._total else -1.0
