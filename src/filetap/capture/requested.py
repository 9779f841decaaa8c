"""Names as callers write them, for operations that have no open file: the path they mean, as far as text can tell.

Separate from definitions.py, because the kernel's rules for "..", roots and the sources of mounts do not depend on records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from filetap.capture import mounts
from filetap.core import wire
from filetap.core.batch import File
from filetap.selection.paths import is_below


class Joined(NamedTuple):
    """A name, joined to its start directory."""

    path: bytes
    depth: int
    """How many names below its start it leads; -1: it leads out of it."""
    certain: bool = True
    """".." removed only parts of the start's own path: the target of a symbolic link has another parent."""


def join(start: bytes, root: bytes, name: bytes) -> Joined:
    """Join as follow_dotdot() in fs/namei.c: ".." stops at the root, if the start is below it."""
    above = _names(start)
    floor = len(_names(root)) if is_below(start, root) else 0
    path, certain = list(above), True
    lowest = len(path)
    for component in _names(name):
        if component != b"..":
            path.append(component)
        elif len(path) > floor:
            certain = certain and len(path) <= lowest
            path.pop()
            lowest = min(lowest, len(path))
    return Joined(b"/" + b"/".join(path), -1 if lowest < len(above) else len(path) - len(above), certain)


def leaves(name: bytes) -> bool:
    """Return whether the kernel refuses this name below a directory that it must not leave (RESOLVE_BENEATH)."""
    depth = 0
    for component in _names(name):
        depth += -1 if component == b".." else 1
        if depth < 0:
            return True
    return name.startswith(b"/")


def _names(path: bytes) -> list[bytes]:
    return [name for name in path.split(b"/") if name not in (b"", b".")]


@dataclass(frozen=True, slots=True)
class Home:
    """What PATHs refer to: filetap's own mount namespace."""

    namespace: int
    is_root: Callable[[File], bool]
    """Returns whether this file is filetap's own root directory."""

    def shares(self, start: File, root: File | None) -> bool:
        """Return whether a path that begins in ``start`` means the same here. In another mount namespace too, such as that of
        a service, if its root is the same directory; not in a container."""
        if start.mount_namespace == self.namespace:
            return True
        topmost = root is not None and root.path == b"/" and root.mount_namespace == start.mount_namespace
        return topmost and root is not None and self.is_root(root)


class Request(NamedTuple):
    """A name as the kernel defined it."""

    given: bytes
    """The bytes of the definition: the name, and after its NUL what belongs to it."""
    flags: int
    start: File | None
    """The directory it starts from, or the link that contains it; None: not known."""
    root: File | None
    """The root that ".." does not leave."""

    def file(self, number: int, home: Home | None) -> File:
        name, _, more = self.given.partition(b"\0")
        kind = more.partition(b"\0")[0]
        cut = bool(self.flags & wire.TRUNCATED)
        start = None if self.flags & wire.SOURCE and not mounts.takes_device(kind, name) else self.start
        if start is None or not start.path.startswith(b"/"):
            return File(number, b"", resolved=False, requested=name, filesystem=kind, truncated=cut)
        joined = self._joined(start, name)
        wanted = self.flags & (wire.FROM_WANTED if joined.depth else wire.START_WANTED)
        deleted = start.deleted and joined.depth >= 0
        return File(
            number,
            joined.path,
            resolved=False,
            requested=b"" if joined.certain else name,
            depth=joined.depth if wanted else -1,
            foreign=self._foreign(start, home) or deleted,
            deleted=deleted,
            truncated=cut,
        )

    def _foreign(self, start: File, home: Home | None) -> bool:
        """Return whether it is foreign. A symbolic link that is known by name only has no mount namespace: its target is as
        foreign as its own name."""
        if self.flags & wire.RELATIVE_TO_LINK and not start.resolved:
            return start.foreign
        return bool(home and not home.shares(start, self.root))

    def _joined(self, start: File, name: bytes) -> Joined:
        root = self.root.path if self.root else b"/"
        if self.flags & wire.BENEATH and leaves(name):
            return Joined(start.path, 0, certain=False)
        if not self.flags & wire.RELATIVE_TO_LINK:
            return join(start.path, root, name)
        joined = join(root if name.startswith(b"/") else start.path.rpartition(b"/")[0], root, name)
        return Joined(joined.path, -1, joined.certain and joined.depth >= 0)
