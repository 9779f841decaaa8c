"""Cgroups as targets: their ids and levels for the kernel half, which follows those given by path, and their creation and
removal.

Separate from targets.py, which finds them by the words of the command line. Here the kernel identifies them, because the
hierarchy that a mount or a cgroup namespace shows need not begin at its root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from filetap.core import wire
from filetap.core.clock import Clock, utc
from filetap.core.errors import UsageError
from filetap.core.wire import NO_CGROUP, Records
from filetap.kernel.loader import Object
from filetap.kernel.maps import Map
from filetap.selection.targets import Cgroup, inode

U32, U64 = np.dtype("<u4"), np.dtype("<u8")
PATH = np.dtype(f"S{wire.CGROUP_PATH_SPACE}")


class Identified(NamedTuple):
    """The kernel's description of a cgroup's directory."""

    id: int
    level: int
    """Steps below the root of the hierarchy."""
    path: bytes
    """From the root of the hierarchy."""


class Cgroups:
    """The target cgroups. ``settle`` is called once the programs that follow cgroups are attached."""

    def __init__(self, named: Sequence[Cgroup], iterators: Object, kernel_globals: Records, clock: Clock) -> None:
        """``kernel_globals``: struct globals."""
        self._named, self._clock = named, clock
        self._table = kernel_globals["cgroups"][0]
        self._found = _identify(named, iterators) if named else []
        self._targets = Map(iterators.map_fd("cgroup_tree"), U64, U64)
        self.full = False
        """There was no room for some of the cgroups below them."""
        for row, found in zip(self._table, self._found, strict=False):
            row["id"] = found.id
            self._targets.put(found.id, 1)
        self._known = [found.id for found in self._found]

    def write_paths(self, fd: int) -> None:
        """Write the paths of those that are followed. ``fd``: the map ``cgroup_paths``."""
        paths = Map(fd, U32, PATH)
        for number, (cgroup, found) in enumerate(zip(self._named, self._found, strict=True)):
            if cgroup.by_path:
                paths.put(number, found.path)

    def settle(self) -> None:
        """Handle cgroups that were created or removed before the programs were attached: repeat the lookup until both halves
        agree. Then add what is below them: what is created there from now on, the kernel half adds."""
        for cgroup, row in zip(self._named, self._table, strict=False):
            while (now := self._now(cgroup)) != row["id"]:
                row["gone"] = self._clock.boot() if now == NO_CGROUP else 0
                self._targets.delete(np.array([row["id"]], U64))
                row["id"] = now
                if now != NO_CGROUP:
                    self._targets.put(now, 1)
            if now != NO_CGROUP:
                self._add_below(cgroup.directory)

    def _add_below(self, directory: Path) -> None:
        for path, names, _ in os.walk(directory):
            for number in (inode(os.path.join(path, name)) for name in names):
                self.full |= number is not None and not self._targets.add(number, 1)

    @staticmethod
    def _now(cgroup: Cgroup) -> int:
        number = inode(cgroup.directory)
        return number if number is not None and (cgroup.by_path or number == cgroup.id) else NO_CGROUP

    def news(self) -> Iterator[str]:
        """Yield a line for each that was created or removed since the last call."""
        for number, (cgroup, found) in enumerate(zip(self._named, self._found, strict=True)):
            now = int(self._table["id"][number])
            if now == self._known[number]:
                continue
            self._known[number] = now
            if now != NO_CGROUP:
                yield f"cgroup {os.fsdecode(found.path)} has been created again"
            elif cgroup.by_path:
                yield f"cgroup {os.fsdecode(found.path)} was removed: it is traced again when it is created again"
            else:
                yield f"cgroup {cgroup.id} was removed: no more events will come from it"

    def unused(self) -> Iterator[str]:
        """Yield those that have no process now, or do not exist."""
        for cgroup, found, row in zip(self._named, self._found, self._table, strict=False):
            name = os.fsdecode(found.path)
            if row["id"] == NO_CGROUP:
                yield f"cgroup {name} is gone"
            elif _is_empty(cgroup):
                yield f"cgroup {name} is empty now"

    def gone(self) -> Iterator[str]:
        """Yield a line for each that no longer exists, with the time of its removal."""
        for cgroup, found, row in zip(self._named, self._found, self._table, strict=False):
            since = int(row["gone"])
            if not since:
                continue
            when = utc((since + self._clock.offset()) / 1e9)
            if cgroup.by_path:
                yield f"cgroup {os.fsdecode(found.path)} was removed at {when} and not created again"
            else:
                yield f"cgroup {cgroup.id} was removed at {when}; give its path to trace it again when it is created again"


def _is_empty(cgroup: Cgroup) -> bool:
    """Return whether it is empty, with all below it. The root has no such file, and always processes."""
    try:
        return "populated 0" in (cgroup.directory / "cgroup.events").read_text(encoding="ascii")
    except OSError:
        return False


def _identify(named: Sequence[Cgroup], iterators: Object) -> list[Identified]:
    """Identify the cgroups of the descriptors, and close these."""
    found = dict(parse(iterators.run_iterator("cgroup_ids")))
    for cgroup in named:
        os.close(cgroup.fd)
        there = found[cgroup.fd]
        if cgroup.by_path and (there.level >= wire.MAX_CGROUP_LEVELS or len(there.path) > wire.CGROUP_PATH_SPACE - 2):
            raise UsageError(f"--cgroup {cgroup.directory}: its path is too long; give its id, {there.id}")
    return [found[cgroup.fd] for cgroup in named]


def parse(text: bytes) -> Iterator[tuple[int, Identified]]:
    """Yield the cgroups by descriptor; ``text``: of struct identified_cgroup, each followed by names, from the lowest up."""
    at = 0
    while at < len(text):
        (head,) = np.frombuffer(text, wire.IDENTIFIED_CGROUP, 1, at)
        at += head.nbytes
        names: list[bytes] = []
        while name := text[at : text.index(b"\0", at)]:
            names.insert(0, name)
            at += len(name) + 1
        at += 1
        yield int(head["fd"]), Identified(int(head["id"]), len(names), b"/" + b"/".join(names))
