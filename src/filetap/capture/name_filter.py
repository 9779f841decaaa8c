"""Filters events by a name that led to no file: the only filter that runs in user space, because the kernel has no file to compare."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from filetap.core import wire
from filetap.core.batch import Batch, File
from filetap.core.stage import Stage
from filetap.core.wire import Records
from filetap.selection.filters import Filters
from filetap.selection.paths import is_below_any

if TYPE_CHECKING:
    from filetap.capture.later import Later


class UnresolvedNameFilter:
    """The only filter in user space: a name that led to no file is matched as the caller wrote it."""

    def __init__(self, filters: Filters) -> None:
        self._recursive = filters.recursive
        self._paths = {os.fsencode(form(path)) for path in filters.paths for form in (os.path.abspath, os.path.realpath)}
        self._exclude = {os.fsencode(form(path)) for path in filters.exclude for form in (os.path.abspath, os.path.realpath)}

    @property
    def needed(self) -> bool:
        return bool(self._paths or self._exclude)

    @property
    def exclusive(self) -> bool:
        """Return whether there are PATHs, so that a name must match one."""
        return bool(self._paths)

    def wants(self, name: File) -> bool:
        """Return whether the name matches. A name that starts below a PATH does, whatever its text is."""
        if not name.foreign and self._exclude and is_below_any(name.path, self._exclude):
            return False
        if not self._paths or name.depth in (0, 1) or (name.depth > 0 and self._recursive):
            return True
        return bool(name.path) and not name.foreign and self.leads_to(name.path)

    def leads_to(self, path: bytes) -> bool:
        """Return whether this path, of filetap's own mount namespace, is a PATH or in one."""
        return is_below_any(path, self._paths) if self._recursive else path in self._paths or os.path.dirname(path) in self._paths


class NameFilter(Stage):
    """Drops events of which no name matches: those of a name that led to a file have passed the kernel's filters."""

    def __init__(self, filters: Filters, later: Later | None = None) -> None:
        """``later``: looks up names whose text does not lead to a PATH."""
        super().__init__()
        self._names, self._later = UnresolvedNameFilter(filters), later

    def take(self, batch: Batch) -> Iterator[Batch]:
        yield self.filtered(batch)

    def filtered(self, batch: Batch) -> Batch:
        if not self._names.needed:
            return batch
        drop, later = self._unwanted(batch), batch.events["flags"] & wire.LATER != 0
        if self._later and (doubtful := drop & later & (batch.events["result"] >= 0)).any():
            batch, kept = self._later.look(batch, doubtful)
            drop &= ~kept
        self.dropped += _by_op(batch, drop & ~later) - _by_op(batch, later & ~drop)
        return batch.where(~drop) if drop.any() else batch

    def _unwanted(self, batch: Batch) -> NDArray[np.bool_]:
        """Return the events of which no name matches as the caller wrote it."""
        named = {n for n in np.unique(batch.events["file"]).tolist() if not self._wanted(batch, n)}
        drop = np.isin(batch.events["file"], list(named)) if named else np.zeros(len(batch.events), bool)
        if len(batch.ext):
            two = batch.events["flags"] & wire.HAS_EXT != 0
            unsaid = (batch.events["file"][two] == 0) & (batch.ext["target"] != 0) & self._names.exclusive
            drop[two] = (drop[two] | unsaid) & ~self._wanted_targets(batch)
        return drop

    def take_sums(self, keys: Records, values: Records, known: Batch) -> tuple[Records, Records]:
        """Filter the kernel's sums in the same way. If this filter is needed, they include no event with two names."""
        if not self._names.needed:
            return keys, values
        unwanted = [n for n in np.unique(keys["file"]).tolist() if not self._wanted(known, n)]
        drop = np.isin(keys["file"], unwanted)
        np.add.at(self.dropped, keys["op"][drop], values["count"][drop].astype(np.int64))
        return keys[~drop], values[~drop]

    def _wanted(self, batch: Batch, number: int) -> bool:
        """Return whether a file matches. One that the kernel resolved has passed its filter there; nothing is known of one
        without a name."""
        name = batch.names.get(number)
        return not name or bool(name.inode) or self._names.wants(name)

    def _wanted_targets(self, batch: Batch) -> NDArray[np.bool_]:
        """One matching name of the two is enough."""
        targets = batch.ext["target"]
        wanted = [n for n in np.unique(targets).tolist() if n and self._wanted(batch, n)]
        return np.isin(targets, wanted)


def _by_op(batch: Batch, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many of these events there are of each operation."""
    return np.bincount(wire.OP_OF_CALL[batch.events["call"][rows]], minlength=wire.MAX_OPS)
