"""Stages that describe files and tasks further: paths on the host, names of users.

A stage wraps the batch's files or tasks, and describes each when a sink first looks at it. An id means the same as long as the trace
lasts, so it is described once, unless something becomes known later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final, Self, TypeVar

from filetap.capture.mounts import Mounts
from filetap.capture.users import Accounts
from filetap.core.batch import Batch, File, Task
from filetap.core.stage import Stage

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


class HostPaths(Stage):
    """Adds ``File.host_path``: the path in filetap's own mount namespace."""

    def __init__(self, mounts: Mounts) -> None:
        super().__init__()
        self._mounts = mounts
        self._files: Described[File] = Described(self._with_path)

    def describe(self, batch: Batch) -> Batch:
        return replace(batch, files=self._files.of(batch.files))

    def _with_path(self, file: File) -> File:
        return replace(file, host_path=self._mounts.path(file.device, file.inner_path)) if file.inner_path else file


class UserNames(Stage):
    """Adds the names of users and groups to ``Task.credentials``. Those that the database has not answered in time come later."""

    def __init__(self, accounts: Accounts) -> None:
        super().__init__()
        self._accounts = accounts
        self._tasks: Described[Task] = Described(self._named)
        self._ancestors: Described[Task] = Described(self._with_names)
        self._incomplete: set[int] = set()
        """Ids of tasks and ancestors that were described while a name was missing."""

    def describe(self, batch: Batch) -> Batch:
        return replace(batch, tasks=self._tasks.of(batch.tasks), renewed=batch.renewed | self._completed())

    def _completed(self) -> frozenset[int]:
        """Return the ids of tasks whose missing names have come."""
        if not self._incomplete or self._accounts.is_late:
            return frozenset()
        found, self._incomplete = frozenset(self._incomplete), set()
        for described in (self._tasks, self._ancestors):
            described.forget(found)
        return found

    def _named(self, task: Task) -> Task:
        above = {process.id: process for process in task.ancestors}
        named = self._ancestors.of(above)
        return replace(self._with_names(task), ancestors=tuple(named[number] for number in above))

    def _with_names(self, task: Task) -> Task:
        if not task.has_host_root:
            return task
        named = replace(task, credentials=self._accounts.named(task.credentials))
        if self._accounts.is_late:
            self._incomplete.add(task.id)
        return named
