"""Ancestor processes of tasks, up to the first one: rows that no event refers to, kept while the kernel may refer to them.

Separate from definitions.py, because no record reports that such a row is no longer needed: from time to time the kernel's own
table is read to find out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from filetap.core import wire
from filetap.core.batch import Task, lineage
from filetap.kernel.maps import Map


class _Row(NamedTuple):
    arrived: float
    task: Task


class Ancestors:
    """The rows of ancestors, by id."""

    FEW: Final = 8192
    """The number of rows up to which the kernel's table is not read."""
    GRACE: Final = 2.0
    """Seconds for which a new definition may not be in the kernel's table yet."""

    def __init__(self, in_use: Callable[[], set[int]], now: Callable[[], float] = time.monotonic) -> None:
        """``in_use``: returns the ids to which the kernel may still refer as a parent."""
        self._in_use, self._now = in_use, now
        self._rows: dict[int, _Row] = {}
        self._limit = self.FEW

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, task: Task) -> None:
        self._rows[task.id] = _Row(self._now(), task)

    def above(self, parent: int) -> tuple[Task, ...]:
        """Return the row of this id and those above it."""
        return lineage(parent, self.get)

    def get(self, number: int) -> Task | None:
        row = self._rows.get(number)
        return row.task if row else None

    def tidy(self) -> None:
        """Drop rows without descendants, once there are many rows."""
        if len(self._rows) <= self._limit:
            return
        old = self._now() - self.GRACE
        recent = {number for number, row in self._rows.items() if row.arrived > old}
        kept = self._with_ancestors(recent | self._in_use())
        self._rows = {number: row for number, row in self._rows.items() if number in kept}
        self._limit = max(self.FEW, 2 * len(self._rows))

    def _with_ancestors(self, numbers: Iterable[int]) -> set[int]:
        kept: set[int] = set()
        for number in numbers:
            if number not in kept:
                kept.update(task.id for task in self.above(number))
        return kept


class ProcessIds:
    """The ids to which the kernel half may still refer as a parent."""

    def __init__(self, processes: int) -> None:
        """``processes``: the map's descriptor."""
        self._processes = Map(processes, wire.PROCESS_KEY, wire.PROCESS_ENTRY)

    def __call__(self) -> set[int]:
        entries = self._processes.items()[1]
        return {*entries["id"].tolist(), *entries["forker"].tolist()}
