"""Why a run may have seen nothing: the reasons that can apply to it.

Separate from report/stats.py, which reports that it did: "nothing lost" would be true, but no help.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from filetap.core.calls import CALLS
from filetap.selection.filters import Filters
from filetap.selection.targets import Targets

ON_DESCRIPTORS: Final = ("fd", "to_fd")
BY_NAME: Final = ("name", "to_name")
"""Words of a call's shape."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a run at its end."""

    executed: bool
    """The launched command has reached its exec."""
    named: bool
    """A process had a name of -c."""
    live: bool
    """A process given by its pid still runs."""
    hooks: bool
    """Hooks reported the files that names led to."""
    unmatched: int
    """Events that were left out because their names do not match."""
    cgroups: Sequence[str]
    """Cgroups that do not exist, or have no process."""


def reasons(targets: Targets, filters: Filters, facts: Facts) -> list[str]:
    """Return the reasons as sentences without a full stop."""
    return [*_of_targets(targets, facts), *_of_filters(filters, facts)] or ["the traced processes made no call of the selected operations"]


def _of_targets(targets: Targets, facts: Facts) -> Iterator[str]:
    if targets.all:
        return
    if targets.command and not facts.executed:
        yield "the command was not executed"
    if targets.pids and not facts.live:
        yield "the processes of -p have ended"
    if targets.comms and not facts.named:
        names = " or ".join(os.fsdecode(comm) for comm in targets.comms)
        yield f"no process named {names} ran (a script has the name of its interpreter if started through it: python3 for python3 x.py)"
    yield from facts.cgroups
    if targets.comms and targets.cgroups:
        yield "-c and --cgroup were both given: only processes that match both count"


def _of_filters(filters: Filters, facts: Facts) -> Iterator[str]:
    """The usual reason comes first."""
    shapes = {word for number in filters.calls for word in CALLS[number].shape.split()}
    if filters.paths:
        yield f"no access to {'this PATH' if len(filters.paths) == 1 else 'these PATHs'}"
    if facts.unmatched:
        yield _left_out(facts.unmatched)
    if (filters.paths or filters.exclude) and not facts.hooks and shapes.intersection(BY_NAME):
        yield (
            "names that lead there through symbolic links or bind mounts are seen only if the call changes a file "
            "(no VFS hook attaches here)"
        )
    if filters.types == {"file"} and shapes.intersection(ON_DESCRIPTORS):
        yield "through a descriptor, only regular files are traced; --type adds other types"
    if filters.failed:
        yield "--failed: no call failed"
    if filters.min_latency:
        yield "--min-latency: no call took that long"


def _left_out(calls: int) -> str:
    if calls == 1:
        return "1 call by name was left out because its name, as written, is not on a PATH"
    return f"{calls} calls by name were left out because their names, as written, are not on a PATH"
