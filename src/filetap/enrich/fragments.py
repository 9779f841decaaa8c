"""Text of files and tasks, made once for each and kept while events name it.

Apart, because it is the one memory that the text formats have, and it has to stay small. Next: sinks/ndjson.py and
sinks/table.py say how a file and a task read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from filetap.batch import Batch, File, Task
from filetap.enrich.columns import encode
from filetap.enrich.strings import Text, strings
from filetap.model import Records

T = TypeVar("T")

OVERHEAD: Final = 512
"""Bytes that one entry costs beside its text, with what it holds alive; a guess on the high side."""


PORTION: Final = 4 << 20
"""Bytes of text that one portion of a batch brings along. Sixteen thousand paths of 4000 bytes would take 300 MB at once."""


class Fragments(Generic[T]):
    """``make`` gives the texts of one file or task, always equally many; of None for an id that is 0 or not known."""

    def __init__(self, make: Callable[[T | None], tuple[bytes, ...]], limit: int = 16 << 20) -> None:
        """``limit``: bytes kept, about."""
        self._make = make
        self._limit = limit
        self._items: dict[int, T] = {}
        self._texts: dict[int, tuple[bytes, ...]] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._texts)

    def of(self, number: int, known: Mapping[int, T]) -> tuple[bytes, ...]:
        """A freed id is given again, so the text counts only for the very object it was made of."""
        item = known.get(number)
        if item is None:
            return self._make(None)
        if self._items.get(number) is item:
            return self._texts[number]
        texts = self._make(item)
        self._keep(number, item, texts)
        return texts

    def _keep(self, number: int, item: T, texts: tuple[bytes, ...]) -> None:
        """Forgetting all at the limit forgets the ids that are gone; those in use are made once more."""
        if self._size > self._limit:
            self._items.clear()
            self._texts.clear()
            self._size = 0
        self._items[number] = item
        self._texts[number] = texts
        self._size += OVERHEAD + sum(map(len, texts))

    def columns(self, ids: NDArray[Any], known: Mapping[int, T]) -> list[Text]:
        """One column for each text that ``make`` gives, with as many of the first rows as PORTION bytes describe."""
        distinct, rows = encode(ids)
        made = self._portion(distinct.tolist(), known)
        if len(made) < len(distinct):
            rows = rows[: int(np.argmax(rows >= len(made)))]
        # zip(*made) would hold an iterator per file, and the garbage collector would count them all.
        return [Text(strings([texts[place] for texts in made]), rows) for place in range(len(made[0]))]

    def _portion(self, numbers: list[int], known: Mapping[int, T]) -> list[tuple[bytes, ...]]:
        made, size = [], 0
        for number in numbers:
            texts = self.of(number, known)
            made.append(texts)
            size += len(texts[0])
            if size > PORTION:
                break
        return made


def described(batch: Batch, files: Fragments[File], tasks: Fragments[Task]) -> Iterator[tuple[Records, list[Text]]]:
    """The batch's events with the columns of ``files`` and then of ``tasks``; at once, unless the names are very long."""
    events = batch.events
    while len(events):
        texts = [*files.columns(events["file"], batch.files), *tasks.columns(events["task"], batch.tasks)]
        count = min(len(text.rows) for text in texts)
        yield events[:count], [Text(text.strings, text.rows[:count]) for text in texts]
        events = events[count:]
