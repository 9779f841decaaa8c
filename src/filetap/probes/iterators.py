"""The iterators, which are run and not attached: what runs already, what still does, and what is behind descriptors.

Apart, because one of them is not for all kernels. bpf/iter.bpf.c is its kernel half.
"""

from __future__ import annotations

from typing import Final, Protocol

from filetap.probes import Plan

WALK: Final = "bpf_iter_task_new"
"""c68a78ffe2cb (v6.7): the way to tasks that our pid namespace does not show."""
EVERYWHERE: Final = "mark_all"
"""The program that needs it."""


class Functions(Protocol):
    """What this kernel has: kernel/types.py."""

    def has_kfunc(self, name: str) -> bool:
        """Is there such a function, for programs to call?"""


OWN: Final = ("path_scratch", "name_scratch")
"""Maps that are not shared with programs that may interrupt an iterator."""


def plan(kernel: Functions, everywhere: bool, judge: bool = False) -> Plan:
    """``everywhere``: targets may run where our pid namespace does not show them. ``judge``: files are looked up for their names."""
    raw = ["find_self", "mark_targets", "find_living", "file_ids", "cgroup_ids", *["judge_files"] * judge]
    return Plan("iter", raw=[*raw, EVERYWHERE] if everywhere and kernel.has_kfunc(WALK) else raw)
