"""An output of a run: a sink, the queue in front of it, and what happens when it is slow, away or fails.

Separate from the sinks, which only write: an outlet that fails or waits holds back no other one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from filetap.capture.delivery import Receipt
from filetap.core.batch import Batch
from filetap.core.sink import Beginning, Sink, UnavailableError
from filetap.core.statistics import OutputStatistics, Statistics
from filetap.render.terminal import one_line

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 30.0
"""Seconds before a batch is written again: doubled each time."""
PATIENCE: Final = 1.0
"""Seconds for which a destination may still be away when the run is to end."""

Act = Callable[[Sink], None]
WhenFull = Literal["block", "drop", "spill"]


@dataclass(frozen=True, slots=True)
class Queue:
    """How much may wait for a slow sink, and what happens to more."""

    bytes: int = 0
    """0: there is no queue. The thread that reads the events writes them, too, and waits as long as that takes."""
    when_full: WhenFull = "block"
    """block: events wait in the kernel's rings; drop: they are counted; spill: they are written to a recording."""
    spill: Outlet | None = None
    """Of that recording; it begins when it is first needed, and is aborted if it never is."""


@dataclass(frozen=True, slots=True)
class Item:
    """One call of the sink. ``size``: bytes; ``count``: events."""

    act: Act
    size: int = 0
    count: int = 0
    receipt: Receipt | None = None
    renewed: frozenset[int] = frozenset()
    """As of Batch."""


class Outlet:
    """``name``: for messages; what is not printable in it is escaped. A ``view`` shows the run itself: a run whose other outputs have
    failed ends."""

    def __init__(self, sink: Sink, name: str = "", queue: Queue | None = None, *, view: bool = False) -> None:
        self.sink, self.name, self.view = sink, one_line(name), view
        self.failure = ""
        """Why it gets nothing more."""
        self.error: OSError | None = None
        """The same."""
        self._queue = queue or Queue()
        self._dropped = 0
        self._unsettled: deque[Item] = deque()
        self._settled = 0
        self._beginning = Beginning()
        self._spilling = False
        self._unseen: frozenset[int] = frozenset()
        """``renewed`` of batches that the sink has not got: the next one includes it."""
        self._items: deque[Item] = deque()
        self._size = 0
        self._busy = self._closing = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"output {name}", daemon=True) if self.queued else None

    @property
    def queued(self) -> bool:
        """Return whether a thread of its own writes, so that batches must stay valid."""
        return self._queue.bytes > 0

    @property
    def trouble(self) -> str:
        """Return why it or the recording of its spilled events gets nothing more."""
        return self.failure or (self._queue.spill.failure if self._queue.spill else "")

    def begin(self, beginning: Beginning) -> None:
        self._beginning = beginning
        self.sink.begin(beginning)
        if self._thread:
            self._thread.start()

    def write(self, batch: Batch, receipt: Receipt | None) -> None:
        """Give the sink a batch, which must stay valid if this outlet is queued."""
        batch = replace(batch, renewed=batch.renewed | self._unseen) if self._unseen else batch
        self._unseen = frozenset()
        size = batch.nbytes if self.queued else 0
        self.put(Item(lambda sink: sink.write(batch), size, len(batch.events), receipt, batch.renewed))

    def put(self, item: Item) -> None:
        """Give the sink an item: now, or behind those that wait."""
        if not self.queued:
            self._do(item)
            return
        with self._changed:
            while self._is_full(item) and not self.failure:
                self._raise_defect()
                if self._queue.when_full != "block":
                    self._put_elsewhere(item)
                    return
                self._changed.wait()
            self._items.append(item)
            self._size += item.size
            self._changed.notify_all()

    def _is_full(self, item: Item) -> bool:
        """Return whether a batch has to wait. One that is larger than the queue passes when nothing waits or is being written; what
        is no batch is small, and is never dropped."""
        return bool(item.receipt and self._size) and self._size + item.size > self._queue.bytes

    def _put_elsewhere(self, item: Item) -> None:
        self._unseen |= item.renewed
        spill = self._queue.spill
        if not spill:
            self._end(item)
            return
        if not self._spilling:
            self._spilling = True
            spill.put(Item(lambda sink: sink.begin(self._beginning)))
        spill.put(item)

    def _end(self, item: Item, written: int = 0) -> None:
        """Count an item's events: the first ones are written, and the others never will be."""
        if item.receipt:
            with self._changed:
                self._dropped += item.count - written
            item.receipt.settle(written)

    def _work(self) -> None:
        """Write what waits, until the outlet is closed and nothing waits any more."""
        while item := self._next():
            try:
                self._do(item, retry=True)
                if not self._items:
                    self._do(Item(lambda sink: sink.flush()))
            except Exception as error:  # noqa: BLE001
                self._error = error  # the other thread raises it
            with self._changed:
                self._size -= item.size
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> Item | None:
        with self._changed:
            while not self._items and not self._closing:
                self._changed.wait()
            self._busy = bool(self._items)
            return self._items.popleft() if self._items else None

    def _do(self, item: Item, retry: bool = False) -> None:
        """Call the sink, unless it has failed."""
        if self.failure:
            self._end(item)
            return
        if item.receipt:
            self._unsettled.append(item)
        try:
            self._call(item.act, retry)
        except OSError as error:
            self.error = error
            self.failure = one_line(f"cannot write to {error.filename or self.name or 'the output'}: {error.strerror or error}")
        finally:
            self._settle()

    def _call(self, act: Act, retry: bool) -> None:
        """Call the sink; again if its destination is away, after pauses that double."""
        pause, waited = FIRST_PAUSE, 0.0
        while True:
            try:
                act(self.sink)
                return
            except UnavailableError:
                if not retry or waited > PATIENCE:
                    raise
            time.sleep(min(pause, PATIENCE) if self.sink.draining else pause)
            waited += pause if self.sink.draining else 0
            pause = min(pause * 2, LONGEST_PAUSE)

    def _settle(self) -> None:
        """Settle the receipts of what is written; of a failed sink all of them."""
        new = self.sink.written - self._settled
        self._settled = self.sink.written
        while self._unsettled and (new >= self._unsettled[0].count or self.failure):
            item = self._unsettled.popleft()
            written = min(new, item.count)
            new -= written
            self._end(item, written)
        self._settled -= new

    def flush(self) -> None:
        """Write what the sink has buffered. A thread does so itself when nothing waits."""
        if not self.queued:
            self._do(Item(lambda sink: sink.flush()))

    def drain(self) -> None:
        """Wait until nothing waits any more."""
        with self._changed:
            while self.queued and (self._items or self._busy) and not self._error:
                self._changed.wait()
        self._raise_defect()

    def _raise_defect(self) -> None:
        """Raise in this thread what a defect of the sink has raised in the other one."""
        if self._error:
            raise self._error

    def statistics(self) -> OutputStatistics:
        """Return the counts; they are final after ``drain``."""
        spill = self._queue.spill.statistics() if self._queue.spill and self._spilling else OutputStatistics("")
        kept = self.sink.kept
        dropped = self._dropped + self.sink.written - kept + spill.dropped
        return OutputStatistics(self.name, kept, dropped, spill.written, spill.name, self.trouble)

    def finish(self, statistics: Statistics) -> None:
        """Complete the output. Raise FiletapError or OSError if that fails."""
        self._close()
        try:
            self.sink.finish(statistics)
        finally:
            if self._spilling and self._queue.spill:
                self._queue.spill.finish(statistics)
            elif self._queue.spill:
                self._queue.spill.abort("nothing was spilled")

    def abort(self, reason: str) -> None:
        self._close()
        try:
            self.sink.abort(reason)
        finally:
            if self._queue.spill:
                self._queue.spill.abort(reason)

    def _close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread and self._thread.ident:
            self._thread.join()
