"""Text of files and tasks, rendered once for each and cached while events refer to it.

Separate, because it is the only cache of the text formats, and it has to stay small.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from filetap.core.batch import Batch, File, Overflow, Task
from filetap.render.columns import encode, second
from filetap.render.strings import Text, strings

T = TypeVar("T")
MakeFile: TypeAlias = Callable[[File | None], tuple[bytes, ...]]
MakeTask: TypeAlias = Callable[[Task | None], tuple[bytes, ...]]

OVERHEAD: Final = 256
"""Bytes that one entry costs in addition to its text: key, tuple, slot in the dictionary, headers of the texts."""


PORTION: Final = 4 << 20
"""Bytes of text that one portion of a batch adds. Sixteen thousand paths of 4000 bytes would take 300 MB at once."""


class TextCache(Generic[T]):
    """``make`` returns the texts of one file or task, always the same number; it gets None for an id that is 0 or not known.

    They are cached by id alone: an id means the same as long as the trace lasts, and looking up the object may be expensive.
    """

    def __init__(self, make: Callable[[T | None], tuple[bytes, ...]], limit: int = 8 << 20) -> None:
        """``limit``: approximate number of bytes kept."""
        self._make = make
        self._limit = limit
        self._kept: dict[int, tuple[bytes, ...]] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, number: int, known: Mapping[int, T]) -> tuple[bytes, ...]:
        kept = self._kept.get(number)
        if kept is not None:
            return kept
        item = known.get(number)
        made = self._make(item)
        if item is not None:
            self._keep(number, made)
        return made

    def _keep(self, number: int, made: tuple[bytes, ...]) -> None:
        """Store a text. At the limit the cache is emptied, which drops ids that are gone; those in use are made once more."""
        if self._size > self._limit:
            self._kept.clear()
            self._size = 0
        self._kept[number] = made
        self._size += OVERHEAD + sum(map(len, made))

    def forget(self, numbers: Collection[int]) -> None:
        """Make these texts again: more is known."""
        for number in numbers:
            if made := self._kept.pop(number, None):
                self._size -= OVERHEAD + sum(map(len, made))

    def columns(self, ids: NDArray[Any], known: Mapping[int, T]) -> list[Text]:
        """Return one column for each text that ``make`` returns, with as many of the first rows as PORTION bytes describe."""
        distinct, rows = encode(ids)
        made = self._portion(distinct.tolist(), known)
        if len(made) < len(distinct):
            rows = rows[: int(np.argmax(rows >= len(made)))]
        # # zip(*made) would hold an iterator per file, and the garbage collector would visit them all.
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


class Descriptions:
    """The texts of everything that a batch's events refer to, in one format."""

    def __init__(self, file: MakeFile, task: MakeTask, target: MakeFile) -> None:
        self._files, self._tasks, self._targets = TextCache(file), TextCache(task), TextCache(target)

    def of(self, overflow: Overflow, batch: Batch) -> tuple[bytes, ...]:
        """Return the texts of an aggregated row: of its file, then of its task."""
        return self._files.of(overflow.file, batch.files) + self._tasks.of(overflow.task, batch.tasks)

    def parts(self, batch: Batch) -> Iterator[tuple[Batch, list[Text]]]:
        """Yield the batch with its columns of text; in one part, unless the names are very long."""
        for cache in (self._files, self._tasks, self._targets):
            cache.forget(batch.renewed)
        while len(batch.events):
            texts = self._texts(batch)
            count = min(len(text.rows) for text in texts)
            if count == len(batch.events):
                yield batch, texts
                return
            yield batch.portion(0, count), [Text(text.strings, text.rows[:count]) for text in texts]
            batch = batch.portion(count, len(batch.events))

    def _texts(self, batch: Batch) -> list[Text]:
        """Return the texts of the file, of the task, and of the second file, if there is one."""
        events, files = batch.events, batch.files
        texts = self._files.columns(events["file"], files) + self._tasks.columns(events["task"], batch.tasks)
        return texts + (self._targets.columns(second(batch, "target"), files) if batch.ext["target"].any() else [])
