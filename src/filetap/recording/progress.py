"""How far something long is, for whoever waits: said by who does it, asked from beside.

Apart, because who opens or repairs a trace knows nothing of terminals.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Share = Callable[[], float]
"""How far, 0 to 1; below 0: not known. May be called from another thread."""
Begin = Callable[[str, Share], None]
"""Something begins that may last: what it is, and whom to ask."""


def no_progress(_what: str, _done: Share) -> None:
    """Nobody waits."""


class Count:
    """Of so many, done by several threads."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._lock = total, 0, threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count

    def share(self) -> float:
        return self._done / self._total if self._total else -1.0
