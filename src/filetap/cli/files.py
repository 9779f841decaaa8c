"""The FILE of an option: made or, with --force, overwritten. What it held stays until there is something in its place.

Apart, because all commands that write do this alike.
"""

from __future__ import annotations

import os
from contextlib import suppress
from io import FileIO
from typing import Any

from filetap.core import descriptors
from filetap.core.errors import FiletapError, UsageError


class OutputFile(FileIO):
    """Unbuffered. Empties an older file before the first byte. Raises UsageError, FiletapError."""

    def __init__(self, path: str, force: bool) -> None:
        mode = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (0 if force else os.O_EXCL)
        made = not os.path.lexists(path)
        try:
            fd = os.open(path, mode, 0o644)
        except FileExistsError:
            raise UsageError(f"{path} exists: give --force to overwrite it") from None
        except OSError as error:
            descriptors.check(error.errno or 0)
            raise FiletapError(f"{path}: {error.strerror}") from None
        super().__init__(fd, "wb")
        self._path, self._made, self._old = path, made, not made

    def write(self, data: Any, /) -> int:
        self.empty()
        return super().write(data)

    def empty(self) -> None:
        """There is something new, if it is nothing."""
        if self._old:
            self._old = False
            with suppress(OSError):  # a pipe or a device
                os.ftruncate(self.fileno(), 0)

    def discard(self) -> None:
        """Nothing came of it: a new file would be in the way of the next try."""
        if self._made:
            with suppress(OSError):
                os.unlink(self._path)
