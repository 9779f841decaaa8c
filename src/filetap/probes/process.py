"""The process hook set: following children, commands by name, and fork, exec and exit as events.

Separate, because following is needed whichever calls are traced. bpf/process.bpf.c is its kernel half.
"""

from __future__ import annotations

from filetap.probes import Plan


def plan(members: bool) -> Plan:
    """Return all programs, always: they follow children, and detect exits and changes of cgroup, even if their events are not
    requested. ``members``: tasks in target cgroups have states."""
    return Plan("process", raw=["process_fork", "process_exec", "process_exit", "task_moved", *["member_moved"] * members])
