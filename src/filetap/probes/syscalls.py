"""The system call hook set: which calls are read, and how little can be attached for them.

Apart, because what is attached is what bystanders pay: measured, in docs/adr/0003. bpf/syscalls.bpf.c is its kernel
half.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from filetap import model
from filetap.model import Records
from filetap.probes import Plan

RARE_OPS: Final = frozenset({"open", "dup", "exec"})
"""Ops whose calls are seldom: for these alone classic tracepoints are cheaper for everybody else."""


SEEN_AT_ENTER: Final = frozenset({"close", "execveat"})
"""What the exit has lost: close's file, and that it was execveat and from which descriptor."""


def call_table(calls: frozenset[int]) -> Records:
    """The kernel's table by call number: how each is read, and which are not asked for."""
    table = np.zeros(model.MAX_NR, model.CALL_RECORD)
    for number, call in enumerate(model.CALLS):
        row = table[call.nr]
        if call.kind:
            flags = call.flags | (0 if number in calls else model.DROP)
            row["call"], row["op"], row["kind"], row["flags"] = number, model.OP_NUMBER[call.op], call.kind, flags
            row["enter"] = call.name in SEEN_AT_ENTER
        elif call.nr >= 0 and number in calls:
            row["thread" if call.op == "thread" else "call"] = number
    for nr in model.MOVES.values():
        table[nr] = (0, 0, model.KIND_MOVES, model.DROP, 0, 0)
    return table


def plan(calls: frozenset[int], latency: bool) -> Plan:
    """Classic tracepoints for rare calls; else raw sys_exit, with sys_enter only where it is owed."""
    chosen = [model.CALLS[call] for call in sorted(calls) if model.CALLS[call].kind]
    if {call.op for call in chosen} <= RARE_OPS:
        return _classic([call.name for call in chosen], latency)
    if latency:
        return Plan("syscalls", raw=["raw_exit", "raw_enter"])
    enters = [_enter(call.name) for call in chosen if call.name in SEEN_AT_ENTER]
    return Plan("syscalls", raw=["raw_exit"], tracepoints=enters, later=["raw_enter"], replaced=enters)


def _enter(call: str) -> tuple[str, str, str]:
    return ("classic_enter", "syscalls", f"sys_enter_{_EVENT.get(call, call)}")


def _exit(call: str) -> tuple[str, str, str]:
    return ("classic_exit", "syscalls", f"sys_exit_{_EVENT.get(call, call)}")


def _classic(calls: list[str], latency: bool) -> Plan:
    exits = [_exit(call) for call in (*calls, *model.MOVES)]
    enters = [_enter(call) for call in calls if latency or call in _BY_DESCRIPTOR | SEEN_AT_ENTER]
    return Plan("syscalls", tracepoints=exits + enters)


_BY_DESCRIPTOR: Final = frozenset({"dup", "dup2", "dup3", "fcntl"})
_EVENT: Final = {"umount2": "umount"}
"""Tracepoints are named by the function, not by the table: SYSCALL_DEFINE2(umount, ...) in fs/namespace.c."""
