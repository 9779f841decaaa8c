"""The system call hook set: which calls are read, and the least that must be attached for them.

Separate, because untraced tasks pay for what is attached: measured, in docs/adr/0002. bpf/syscalls.bpf.c is its kernel half.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np

from filetap.core import wire
from filetap.core.calls import (
    CALLS,
    CHANGES,
    DROP,
    ENTER,
    KIND_FORK,
    KIND_GROUPS,
    KIND_SUBMIT,
    MAX_NR,
    MOVES,
    NAMESPACE_CALLS,
    OP_NUMBER,
    SETGROUPS,
    Call,
)
from filetap.core.wire import Records
from filetap.probes import Plan, aio

FREQUENT_OPS: Final = frozenset({"read", "write", "close", "stat", "access", "seek"})
"""Without any of these, classic tracepoints cost other processes less."""

CLASSIC: Final = frozenset({"call_enter", "call_exit"})
"""Programs of single calls' tracepoints."""


def call_table(chosen: frozenset[int], moving: Collection[str] = ()) -> Records:
    """Return the kernel's table by call number: how each is read, and which are not requested. ``moving``: operations that
    change the meaning of names, or whether files match, in addition to those that always do."""
    table = np.zeros(MAX_NR + wire.MAX_OPCODES, wire.CALL_RECORD)
    for number, call in enumerate(CALLS):
        if call.nr < 0:
            continue
        row = table[call.nr]
        row["kind"], row["shape"], row["recipe"] = call.kind, shape(call), recipe(call.recipe)
        row["flags"] |= call.flags | (MOVES if call.op in moving else 0)
        which, op = ("other", "other_op") if call.other else ("call", "op")
        row[which], row[op] = number if number in chosen else 0, OP_NUMBER[call.op]
    for nr in NAMESPACE_CALLS.values():
        table[nr]["flags"] |= MOVES
    for nr, place in aio.HANDLED.items() if aio.wanted(chosen) else ():
        table[nr]["kind"], table[nr]["call"] = KIND_SUBMIT, place
    table[SETGROUPS]["kind"] = KIND_GROUPS
    table["flags"][(table["kind"] > 0) & (table["call"] == 0) & (table["other"] == 0)] |= DROP
    return table


def shape(call: Call) -> int:
    """Return ``struct shape``: for each word of wire.SHAPE the number of the argument, three bits; then what the call
    changes."""
    places = sum(at << 3 * wire.SHAPE.index(word) for at, word in enumerate(call.shape.split(), 1) if word != "-")
    changes = ("", "file", "entry", "target").index(CHANGES.get(call.op, "")) if "name" in call.shape else 0
    return places | changes << 3 * len(wire.SHAPE)


def recipe(letters: str) -> int:
    """Return for each register, from the lowest four bits on, 1 + the index of its field in FIELDS; 0: none."""
    return sum(FIELDS.index(letter) + 1 << 4 * at for at, letter in enumerate(letters) if letter != ".")


FIELDS: Final = "FOALPS3"
"""Fields of struct io_uring_sqe, as uring.bpf.c numbers them: fd, off, addr, len, the flags, splice_fd_in, addr3."""


def plan(chosen: frozenset[int], latency: bool, single: bool, moving: Collection[str] = ()) -> Plan:
    """Return classic tracepoints for rare calls; else raw sys_exit, with sys_enter only if it is needed. ``moving``: as in
    call_table.

    ``single``: calls' own tracepoints can be used: the kernel has bpf_task_pt_regs, without which a classic tracepoint's
    program cannot read its call's registers, and does not preempt such programs (preempt_safe).
    """
    wanted = [CALLS[number] for number in sorted(chosen) if 0 <= CALLS[number].nr < MAX_NR and CALLS[number].kind not in (0, KIND_FORK)]
    if not single:
        # # the start directories of mounts' names are not worth a hook at every entry
        now = latency or aio.wanted(chosen) or any(call.flags & (ENTER | MOVES) == ENTER for call in wanted)
        return Plan("syscalls", raw=["raw_exit", "raw_enter"] if now else ["raw_exit"], later=[] if now else ["raw_enter"])
    if not {call.op for call in wanted} & FREQUENT_OPS:
        return _classic({call.name: call for call in wanted}, latency, moving)
    if latency:
        return Plan("syscalls", raw=["raw_exit", "raw_enter"])
    enters = [_enter(call.name) for call in wanted if call.flags & ENTER]
    return Plan("syscalls", raw=["raw_exit"], tracepoints=enters, later=["raw_enter"], replaced=enters)


def _enter(call: str) -> tuple[str, str, str]:
    return ("call_enter", "syscalls", f"sys_enter_{_EVENT.get(call, call)}")


def _exit(call: str) -> tuple[str, str, str]:
    return ("call_exit", "syscalls", f"sys_exit_{_EVENT.get(call, call)}")


def _classic(wanted: dict[str, Call], latency: bool, moving: Collection[str]) -> Plan:
    """Return each call's own tracepoints, and those of the calls that change paths or a task's groups."""
    more = [call.name for call in CALLS if call.op in moving and 0 <= call.nr < MAX_NR]
    exits = [_exit(name) for name in dict.fromkeys([*wanted, *_MOVES, *more, "setgroups"])]
    enters = [_enter(name) for name, call in wanted.items() if latency or call.flags & ENTER or "fd" in call.shape.split()]
    return Plan("syscalls", tracepoints=exits + enters)


_MOVES: Final = (*(call.name for call in CALLS if call.flags & MOVES and call.nr < MAX_NR), *NAMESPACE_CALLS)
_EVENT: Final = {
    "umount2": "umount",
    "stat": "newstat",
    "lstat": "newlstat",
    "fstat": "newfstat",
    "sendfile": "sendfile64",
}
"""Tracepoints are named by the function, not by the table: SYSCALL_DEFINE2(umount, ...) in fs/namespace.c."""
