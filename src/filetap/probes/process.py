"""The process hook set: following, commands by name, and fork, exec and exit as events.

Apart, because following is needed whichever calls are traced. bpf/process.bpf.c is its kernel half.
"""

from __future__ import annotations

from filetap.probes import Plan


def plan() -> Plan:
    """All, always: they follow children, and notice ends and other cgroups, even when no event of theirs is wanted."""
    return Plan("process", raw=["process_fork", "process_exec", "process_exit", "task_moved"])
