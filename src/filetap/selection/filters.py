"""Which events of the targets are traced: operations, files, results, latency.

Separate from targets.py, which selects tasks. The kernel applies all filters, except to the names of calls that failed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import Final, TypeVar

from filetap.core import descriptors, wire
from filetap.core.calls import ALIASES, CALL_NUMBER, CALLS, DEFAULT_OPS, FIRST_HOOK, GROUPS, OP_NUMBER, OPS
from filetap.core.constants import TYPES
from filetap.core.errors import UsageError

Item = TypeVar("Item")
RULES: Final = 4096
FOLLOWED: Final = 256 << 10
"""The number of rules, where each file below a PATH becomes one."""


@dataclass(slots=True)
class Filters:
    """The filters; all must hold."""

    calls: frozenset[int] = field(default_factory=lambda: select_calls(()))
    """Indices into CALLS."""
    paths: list[str] = field(default_factory=list)
    """The file itself, or everything below the directory."""
    exclude: list[str] = field(default_factory=list)
    recursive: bool = True
    """False: of a directory only its direct children."""
    types: frozenset[str] = frozenset({"file"})
    follow: bool = False
    """A file that was below a PATH stays in the trace wherever it is moved."""
    places: bool = False
    """A PATH means whatever has its name; and a file there matches under its other names too."""
    wait: bool = False
    """With ``places``: it may appear later."""
    failed: bool = False
    min_latency: int = 0
    """ns."""

    @property
    def ops(self) -> frozenset[str]:
        return frozenset(CALLS[call].op for call in self.calls)

    @property
    def include(self) -> int:
        """Return RULE_* of a PATH."""
        return wire.RULE_TREE if self.recursive else wire.RULE_CHILDREN

    @property
    def hardlink_rule(self) -> int:
        """Return RULE_* of a file below a PATH."""
        return wire.RULE_TREE if self.follow else wire.RULE_HARDLINK

    @property
    def links(self) -> bool:
        """Return whether a file matches under each of its names: a new name may make it match."""
        return bool(self.paths) and (self.places or self.follow)

    @property
    def rule_space(self) -> int:
        """Return the number of entries of the map of rules."""
        return FOLLOWED if self.follow or self.places else max(RULES, 2 * len(self.paths))

    def rules(self) -> list[tuple[str, int]]:
        """Return path and RULE_*."""
        return [(path, self.include) for path in self.paths] + [(path, wire.RULE_EXCLUDE) for path in self.exclude]

    def type_mask(self) -> int:
        return sum(1 << TYPES[name] for name in self.types)


def select_calls(names: Iterable[str], level: str = "auto", default: Iterable[str] = DEFAULT_OPS) -> frozenset[int]:
    """Return the words of ``-e`` as indices into CALLS: groups, ops and exact calls; none means the ops of ``default``."""
    wanted = {name: {call for call in _calls_of(name) if _is_seen(call, level, by_name=name not in GROUPS)} for name in names}
    for name, calls in wanted.items():
        if not calls:
            raise UsageError(f"-e {name}: not seen at --level {level}; {_other_level(name)}")
    unsaid = {call for op in default for call in _calls_of_op(op) if _is_seen(call, level)}
    return frozenset().union(*wanted.values()) or frozenset(unsaid)


def named_calls(names: Iterable[str]) -> frozenset[int]:
    """Return the words of ``-e`` as indices into CALLS, at any level: for a recording, whose level is fixed."""
    return frozenset().union(*map(_calls_of, names))


def _is_seen(call: int, level: str, by_name: bool = False) -> bool:
    """Return whether a call is seen at a level. System calls are not reported twice: at the VFS level, only what no call
    reports, and only ``by_name``."""
    hook, op = call >= FIRST_HOOK, CALLS[call].op
    if level == "vfs":
        return hook or op == "fault" or op in GROUPS["process"]
    return not hook or (level == "auto" and by_name and op == "permission")


def by_system_call(calls: frozenset[int]) -> frozenset[int]:
    """Return these, with each hook replaced by the system calls that make the same operation."""
    ops = {CALLS[call].op for call in calls if call >= FIRST_HOOK}
    return frozenset(call for call in calls.union(*map(_calls_of_op, ops)) if call < FIRST_HOOK)


def reported_by_hooks_alone(calls: frozenset[int]) -> set[str]:
    """Return the operations among these that no system call makes."""
    return {CALLS[call].op for call in calls} - {CALLS[call].op for call in by_system_call(calls)}


def _other_level(name: str) -> str:
    """Return what to do if it is seen at another level: at the default one, or at the hooks'."""
    unsaid = any(_is_seen(call, "auto", by_name=True) for call in _calls_of(name))
    return "remove --level" if unsaid else "give --level vfs"


def _calls_of_op(op: str) -> set[int]:
    return {number for number, call in enumerate(CALLS) if call.op == op}


def _calls_of(name: str) -> set[int]:
    if name in GROUPS:
        return {call for op in GROUPS[name] for call in _calls_of_op(op)}
    if name in OP_NUMBER and name != "none":
        return _calls_of_op(name)
    exact = ALIASES.get(name, name)
    if exact and exact in CALL_NUMBER:
        return {number for number, call in enumerate(CALLS) if call.name == exact}
    close = get_close_matches(name.strip().lower(), [*GROUPS, *OPS[1:], *CALL_NUMBER], 1)
    raise UsageError(f"-e {name}: no such operation{f'; did you mean {close[0]}?' if close else ''} (-e list prints all)")


def operations_text() -> str:
    """Return the groups with their operations, and the operations with their calls, as lines."""
    calls = {op: sorted({call.name for call in CALLS if call.op == op and call.name}) for op in OPS[1:]}
    lines = ["Groups:", *(f"  {name}: {' '.join(sorted(ops))}" for name, ops in GROUPS.items())]
    return "\n".join([*lines, "Operations and their calls:", *(f"  {op}: {' '.join(names)}" for op, names in calls.items())])


def select_types(names: Iterable[str]) -> frozenset[str]:
    """Return the words of ``--type`` added to regular files; ``all`` means each."""
    wanted = {"file"}
    for name in names:
        if name != "all" and name not in TYPES:
            raise UsageError(f"--type {name}: no such type; types: {', '.join(TYPES)}, all")
        wanted |= set(TYPES) if name == "all" else {name}
    return frozenset(wanted)


def open_paths(rules: Iterable[tuple[str, int]], gone: bool = False) -> dict[int, int]:
    """Open each path with O_PATH, as descriptor to RULE_*; the caller closes them. ``gone``: a missing path is no error."""
    opened: dict[int, int] = {}
    for path, rule in rules:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC | (os.O_NOFOLLOW if gone else 0))
        except OSError as error:
            if gone and error.errno not in descriptors.EXHAUSTED:
                continue
            for other in opened:
                os.close(other)
            descriptors.check(error.errno or 0)
            raise UsageError(f"{path}: {error.strerror}; PATH must exist when tracing begins") from None
        opened[fd] = rule
    return opened


def portions(many: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield a few hundred at a time: a process's descriptors are limited."""
    iterator, size = iter(many), descriptors.portion()
    while portion := list(islice(iterator, size)):
        yield portion


def below(filters: Filters, directories: bool = True) -> Iterator[str]:
    """Yield everything below the paths that matches now."""
    for path in filters.paths:
        yield from _tree(path, filters, directories) if filters.recursive else _children(path)


def _tree(path: str, filters: Filters, directories: bool) -> Iterator[str]:
    excluded = {os.path.realpath(name) for name in filters.exclude}
    for folder, names, files in os.walk(path):
        names[:] = [name for name in names if os.path.realpath(os.path.join(folder, name)) not in excluded]
        yield from (os.path.join(folder, name) for name in ((*names, *files) if directories else files))


def _children(path: str) -> Iterator[str]:
    """Yield files only: the content of subdirectories was not requested."""
    if not os.path.isdir(path):
        return
    with os.scandir(path) as entries:
        yield from (entry.path for entry in entries if not entry.is_dir(follow_symlinks=False))
