"""Which kernel programs a run needs, per hook set: names and attach types, no kernel access.

Separate from kernel/, which carries it out. One module per .bpf.c of the same stem.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final


@dataclass(slots=True)
class Plan:
    """The programs of one object to attach."""

    object: str
    sees: str = ""
    """If not empty, the run can continue without the object, and this describes what it then misses."""
    raw: list[str] = field(default_factory=list)
    """Programs attached by their section."""
    tracepoints: list[tuple[str, str, str]] = field(default_factory=list)
    """(program, category, event) of classic tracepoints."""
    later: list[str] = field(default_factory=list)
    """Programs loaded now and attached once a target has threads."""
    replaced: list[tuple[str, str, str]] = field(default_factory=list)
    """Tracepoints that are detached when ``later`` is attached."""
    attach_targets: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Program of the VFS level to its ``attach_type`` and function."""
    handlers: dict[tuple[str, int], str] = field(default_factory=dict)
    """(map, index) to the program that the syscalls object calls for it."""

    @property
    def attached(self) -> set[str]:
        """The programs attached from the start."""
        return {*self.raw, *(program for program, _, _ in self.tracepoints)}

    @property
    def programs(self) -> set[str]:
        return self.attached | {*self.later, *self.attach_targets, *self.handlers.values()}


def preempt_safe(plan: Plan) -> Plan:
    """Return the same by classic tracepoints, where the kernel calls the programs of raw ones with preemption on: it would
    skip them for a task scheduled on a CPU where one was preempted. It calls the programs of classic ones with preemption
    off, except those of single calls: the plan must not contain these."""
    wanted, forms = (*plan.raw, *plan.later), CLASSIC_FORMS | FIRST_CLASSIC
    whole = [forms[program] for program in wanted if program in forms]
    rest = [one for one in plan.tracepoints if one not in plan.replaced]
    return replace(
        plan, raw=[program for program in wanted if program not in CLASSIC_FORMS], tracepoints=whole + rest, later=[], replaced=[]
    )


def fitting(programs: Iterable[str], preempted: bool) -> set[str]:
    """Return an object's programs for kernels that preempt programs of raw tracepoints, or for those that do not."""
    return set(programs) - (set(CLASSIC_FORMS) if preempted else {program for program, _, _ in (CLASSIC_FORMS | FIRST_CLASSIC).values()})


CLASSIC_FORMS: Final = {
    "raw_enter": ("every_enter", "raw_syscalls", "sys_enter"),
    "raw_exit": ("every_exit", "raw_syscalls", "sys_exit"),
    "returned": ("classic_ret", "raw_syscalls", "sys_exit"),
    "thread_ended": ("classic_gone", "sched", "sched_process_exit"),
    "process_fork": ("classic_fork", "sched", "sched_process_fork"),
    "process_exit": ("classic_end", "sched", "sched_process_exit"),
    "task_moved": ("classic_move", "cgroup", "cgroup_attach_task"),
    "submit_req": ("classic_req", "io_uring", "io_uring_submit_req"),
    "submit_fail": ("classic_fail", "io_uring", "io_uring_req_failed"),
    "complete_cqe": ("classic_cqe", "io_uring", "io_uring_complete"),
    "cqe_overflow": ("classic_over", "io_uring", "io_uring_cqe_overflow"),
}
"""Raw tracepoints' programs to their equivalents by a classic one."""

FIRST_CLASSIC: Final = {"process_exec": ("classic_exec", "sched", "sched_process_exec")}
"""Attached before a raw tracepoint's program that has no full classic form, so that little is lost when that one is skipped."""
