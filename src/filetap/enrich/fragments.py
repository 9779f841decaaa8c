"""Text of files and tasks, made once for each and kept while events name it.

Apart, because it is the one memory that the text formats have, and it has to stay small. Next: sinks/ndjson.py and
sinks/table.py say how a file and a task read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from numpy.typing import NDArray

from filetap.enrich.columns import encode
from filetap.enrich.strings import Text, strings

T = TypeVar("T")

OVERHEAD: Final = 512
"""Bytes that one entry costs beside its text, with what it holds alive; a guess on the high side."""


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
        """One column for each text that ``make`` gives."""
        distinct, rows = encode(ids)
        made = [self.of(number, known) for number in distinct.tolist()]
        # zip(*made) would hold an iterator per file, and the garbage collector would count them all.
        return [Text(strings([texts[place] for texts in made]), rows) for place in range(len(made[0]))]
