"""Files or tasks of a batch with what a stage adds to them: each is described when a sink first looks at it.

An id means the same as long as the trace lasts, so it is described once, unless something becomes known later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, Self, TypeVar

from filetap.core.batch import File, Task

T = TypeVar("T", File, Task)


class Described(Mapping[int, T]):
    """Files or tasks by id, described."""

    LIMIT: Final = 8192
    """Items that are kept; then all are described anew."""

    def __init__(self, describe: Callable[[T], T]) -> None:
        self._describe: Callable[[T], T] = describe
        self._items: Mapping[int, T] = {}
        self._kept: dict[int, tuple[T, T]] = {}
        """By id: the item, and the same one described."""

    def of(self, items: Mapping[int, T]) -> Self:
        """Use these items from now on."""
        self._items = items
        return self

    def __getitem__(self, number: int) -> T:
        item = self._items[number]
        kept = self._kept.get(number)
        if kept and kept[0] is item:
            return kept[1]
        if len(self._kept) >= self.LIMIT:
            self._kept.clear()
        self._kept[number] = item, self._describe(item)
        return self._kept[number][1]

    def forget(self, numbers: Collection[int]) -> None:
        """Describe these again: more is known."""
        for number in numbers:
            self._kept.pop(number, None)

    def __iter__(self) -> Iterator[int]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, number: object) -> bool:
        return number in self._items
