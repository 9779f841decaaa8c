"""The Linux AIO hook set: requests of io_submit from their submission to their completion.

Apart, because a request outlives its call, and because its programs know requests by command and not by call number.
Nothing is loaded unless io_submit is asked for. bpf/aio.bpf.c is its kernel half.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from filetap import model
from filetap.calls import CALLS, KIND_SUBMIT, MAX_NR, OP_NUMBER, VECTORED
from filetap.model import Records
from filetap.probes import Plan

COMMANDS: Final = {0: ("read", 0), 1: ("write", 0), 2: ("sync", 0), 3: ("sync", 0), 7: ("read", VECTORED), 8: ("write", VECTORED)}
"""IOCB_CMD_* of linux/aio_abi.h: op, and whether it is given iovecs."""

TRACEPOINTS: Final = (
    ("submit_enter", "syscalls", "sys_enter_io_submit"),
    ("submit_exit", "syscalls", "sys_exit_io_submit"),
    ("getevents_exit", "syscalls", "sys_exit_io_getevents"),
    ("getevents_exit", "syscalls", "sys_exit_io_pgetevents"),
    ("destroy_enter", "syscalls", "sys_enter_io_destroy"),
)


class Functions(Protocol):
    """What this kernel has: kernel/types.py."""

    def has_kfunc(self, name: str) -> bool:
        """Is there such a function?"""


def call_table(chosen: frozenset[int]) -> Records:
    """The table that these programs are given: by command."""
    table = np.zeros(MAX_NR + model.MAX_OPCODES, model.CALL_RECORD)
    numbers = {CALLS[number].op: number for number in chosen if CALLS[number].name == "io_submit"}
    for command, (op, flags) in COMMANDS.items():
        row = table[command]
        row["call"], row["op"], row["kind"], row["flags"] = numbers.get(op, 0), OP_NUMBER[op], KIND_SUBMIT, flags
    return table


def plan(chosen: frozenset[int], kernel: Functions) -> Plan:
    """exit_aio is in fs/aio.c: without it (CONFIG_AIO) there is no such call and no tracepoint of its name."""
    wanted = any(CALLS[number].name == "io_submit" for number in chosen)
    return Plan("aio", "requests of io_submit", tracepoints=list(TRACEPOINTS) if wanted and kernel.has_kfunc("exit_aio") else [])
