"""Filter events by a name that led to no file: the only filter that runs in user space, because the kernel has no file to compare."""

from __future__ import annotations

import os

from filetap.core.batch import File
from filetap.selection.filters import Filters
from filetap.selection.paths import is_below_any


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
