"""The iterators, which are run and not attached: they list running tasks, living targets, and the files of descriptors.

Separate, because one of them does not load on all kernels. bpf/iter.bpf.c is its kernel half.
"""

from __future__ import annotations

from typing import Final, Protocol

from filetap.probes import Plan

WALK: Final = "bpf_iter_task_new"
"""c68a78ffe2cb (v6.7): reaches tasks that filetap's pid namespace does not show."""
EVERYWHERE: Final = "mark_all"
"""The program that needs it."""


class Functions(Protocol):
    """The tests of kernel/types.py."""

    def has_kfunc(self, name: str) -> bool:
        """Return whether there is such a function, for programs to call."""


OWN: Final = ("path_scratch", "name_scratch")
"""Maps that are not shared with programs that may interrupt an iterator."""


def plan(kernel: Functions, everywhere: bool, judge: bool = False) -> Plan:
    """Return the plan. ``everywhere``: targets may run where filetap's pid namespace does not show them. ``judge``: names are
    looked up later."""
    raw = ["find_self", "mark_targets", "find_living", "file_ids", "cgroup_ids", *["judge_files"] * judge]
    return Plan("iter", raw=[*raw, EVERYWHERE] if everywhere and kernel.has_kfunc(WALK) else raw)
