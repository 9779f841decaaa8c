"""The Linux AIO hook set: requests of io_submit from their submission to their completion.

Separate, because a request outlives its call, and because its programs identify requests by command and not by call number.
Nothing is loaded unless io_submit is requested. bpf/aio.bpf.c is its kernel half.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol

import numpy as np

from filetap.core import wire
from filetap.core.calls import CALLS, KIND_SUBMIT, MAX_NR, OP_NUMBER, VECTORED
from filetap.core.wire import Records
from filetap.probes import Plan

COMMANDS: Final = {0: ("read", 0), 1: ("write", 0), 2: ("sync", 0), 3: ("sync", 0), 7: ("read", VECTORED), 8: ("write", VECTORED)}
"""IOCB_CMD_* of linux/aio_abi.h: op, and whether it takes iovecs."""

HANDLED: Final = {209: 1, 208: 2, 333: 2, 207: 3}
"""io_submit, io_getevents, io_pgetevents, io_destroy (x86-64 numbers): indices into the tables of handlers."""

ENTERS: Final = {("aio_submit", "io_submit"): 1, ("aio_destroy", "io_destroy"): 3}
EXITS: Final = {("aio_taken", "io_submit"): 1, ("aio_reap", "io_getevents"): 2, ("aio_reap", "io_pgetevents"): 2}
"""Program and call to the index of its handler."""

CLASSIC: Final = frozenset(program for program, _ in (*ENTERS, *EXITS))
"""Programs of classic tracepoints."""


class Functions(Protocol):
    """The tests of kernel/types.py."""

    def has_kfunc(self, name: str) -> bool:
        """Return whether there is such a function."""


def call_table(chosen: frozenset[int]) -> Records:
    """Return the table of these programs: by command."""
    table = np.zeros(MAX_NR + wire.MAX_OPCODES, wire.CALL_RECORD)
    numbers = {CALLS[number].op: number for number in chosen if CALLS[number].name == "io_submit"}
    for command, (op, flags) in COMMANDS.items():
        row = table[command]
        row["call"], row["op"], row["kind"], row["flags"] = numbers.get(op, 0), OP_NUMBER[op], KIND_SUBMIT, flags
    return table


def wanted(chosen: frozenset[int]) -> bool:
    return any(CALLS[number].name == "io_submit" for number in chosen)


def plan(chosen: frozenset[int], kernel: Functions, attached: Collection[str]) -> Plan:
    """``attached``: programs of the syscalls object. If it hooks all calls anyway, its programs call the handlers of these
    four; classic tracepoints in addition would cost every process time at each call (80 ns, measured).

    exit_aio is in fs/aio.c: without it (CONFIG_AIO) there is no such call and no tracepoint of its name.
    """
    made = Plan("aio", "requests of io_submit")
    if not wanted(chosen) or not kernel.has_kfunc("exit_aio"):
        return made
    for edge, programs in (("enter", ENTERS), ("exit", EXITS)):
        for (program, call), place in programs.items():
            if f"raw_{edge}" in attached:
                made.handlers[f"{edge}_progs", place] = program.replace("aio_", "raw_")
            elif f"every_{edge}" in attached:
                made.handlers[f"{edge}_progs", place] = program
            else:
                made.tracepoints.append((program, "syscalls", f"sys_{edge}_{call}"))
    return made
