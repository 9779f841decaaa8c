"""Which events have been delivered: written by at least one output.

Separate from statistics.py, because outputs write in threads of their own, each at its own speed.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from numpy.typing import NDArray

from filetap.capture.statistics import Tally
from filetap.core.wire import Records


class Receipt:
    """The events of one batch. Each output settles how many of them, from the first on, it has written."""

    def __init__(self, events: Records, outputs: int) -> None:
        """``events`` is void afterwards."""
        self.calls: NDArray[Any] = events["call"].copy()
        self.results: NDArray[Any] = events["result"].copy()
        self.written = 0
        self._left = outputs
        self._lock = threading.Lock()

    def settle(self, written: int) -> None:
        """Record that an output has written this many, and will write no more of them."""
        with self._lock:
            self.written = max(self.written, written)
            self._left -= 1

    @property
    def is_settled(self) -> bool:
        return self._left == 0


class Delivery:
    """Counts delivered events, by op."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._waiting: deque[Receipt] = deque()

    def hand_over(self, events: Records, outputs: int) -> Receipt:
        """Return the receipt for events given to so many outputs."""
        self._waiting.append(Receipt(events, outputs))
        return self._waiting[-1]

    @property
    def tally(self) -> Tally:
        """Return what has been delivered of the batches that every output has settled."""
        while self._waiting and self._waiting[0].is_settled:
            receipt = self._waiting.popleft()
            self._tally.add(receipt.calls[: receipt.written], receipt.results[: receipt.written])
        return self._tally
