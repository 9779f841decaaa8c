"""Marks the targets that run already, so that the kernel half knows them."""

from __future__ import annotations

import numpy as np

from filetap.capture.choice import everywhere
from filetap.capture.liveness import TargetLiveness
from filetap.core.errors import UsageError
from filetap.core.wire import Records
from filetap.kernel.loader import Object
from filetap.kernel.maps import Map
from filetap.probes import iterators
from filetap.selection.targets import Targets

U32 = np.dtype("<u4")
UNSEEN = "not seen: processes of -c outside this pid namespace that were already running (this kernel cannot list them)"


def mark(targets: Targets, found: Object, liveness: TargetLiveness, members: bool) -> list[str]:
    """Mark them. Return notes on those that cannot be found. Raise UsageError if a process has ended.

    Twice, because a process that the iterator has not reached may fork a child that it misses. ``found``: the object of
    iterators. ``members``: tasks in target cgroups are marked.
    """
    pids = Map(found.map_fd("pids"), U32, U32)
    for pid, how in targets.marks().items():
        pids.put(pid, how)
    program, notes = _program(found, everywhere(targets, members))
    for _ in range(2):
        found.run_iterator(program)
    targets.check_processes()
    if targets.pids and liveness.count() <= 0:
        raise UsageError(f"process {targets.pids[0]} has ended: nothing to trace")
    targets.close()
    return notes


def mark_members(targets: Targets, found: Object, kernel_globals: Records) -> None:
    """Mark tasks that have moved to a target cgroup and could not be marked then. ``kernel_globals``: struct globals."""
    missing = int(kernel_globals["unmarked"][0])
    if missing == kernel_globals["marked"][0]:
        return
    found.run_iterator(_program(found, everywhere(targets, members=True))[0])
    if kernel_globals["unmarked"][0] == missing:
        kernel_globals["marked"][0] = missing


def _program(found: Object, anywhere: bool) -> tuple[str, list[str]]:
    """Return the iterator. Targets given by number are in filetap's pid namespace, and so are their descendants."""
    if not anywhere:
        return "mark_targets", []
    return (iterators.EVERYWHERE, []) if iterators.EVERYWHERE in found.loaded else ("mark_targets", [UNSEEN])
