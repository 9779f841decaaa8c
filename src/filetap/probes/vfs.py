"""The VFS hook set: security hooks and similar functions, each with its attach types, best first.

Separate, because it is below the system calls and not every kernel lets it attach: the kernel's own types decide what fits.
bpf/vfs.bpf.c is its kernel half.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

import numpy as np

from filetap.core import wire
from filetap.core.calls import CALLS, FIRST_HOOK, GROUPS, HOOKS, OP_NUMBER
from filetap.core.wire import Records
from filetap.probes import Plan

ATTACH_TYPES: Final = ("lsm", "fentry", "kprobe")
"""In order of preference, where nothing is preempted."""
NO_LSM_HOOK: Final = "it is not an LSM hook"


def attach_types(preempted: bool) -> tuple[str, ...]:
    """Return the attach types in order of preference. On kernels that preempt programs (preempt_safe) fentry is the last: its
    programs are skipped for a task scheduled on a CPU where one was preempted. LSM has no such guard, and a kprobe's are
    called with preemption off."""
    return tuple(sorted(ATTACH_TYPES, key=lambda attach_type: preempted and attach_type == "fentry"))


class Functions(Protocol):
    """The tests of kernel/types.py."""

    def parameters_of(self, function: str) -> int | None:
        """Return how many parameters a function takes; None: there is no such function."""


SHORT: Final = {"permission": "perm", "getattr": "attr", "truncate": "trunc"}
"""Abbreviations of functions in the names of programs, of which the kernel keeps 15 characters."""


class Hook(NamedTuple):
    """One program, named after its function."""

    function: str
    parameters: tuple[int, ...]
    """The numbers of parameters of the kernel's function with which the program reads the right ones."""
    lsm: str = ""
    """The LSM hook that the function calls; "": none."""
    lsm_parameters: tuple[int, ...] = ()

    @property
    def program(self) -> str:
        subject, _, action = self.function.removeprefix("security_").partition("_")
        return f"{subject}_{SHORT.get(action, action)}"

    def target(self, attach_type: str) -> str:
        """Return what the program is attached to."""
        return self.lsm if attach_type == "lsm" else self.function

    def incompatibility(self, attach_type: str, kernel: Functions) -> str:
        """Return why it cannot be attached this way, by the kernel's types; "": it can. A wrong signature would load anyway,
        and read arbitrary memory."""
        if attach_type == "lsm" and not self.lsm:
            return NO_LSM_HOOK
        name = f"bpf_lsm_{self.lsm}" if attach_type == "lsm" else self.function
        found = kernel.parameters_of(name)
        known = self.lsm_parameters if attach_type == "lsm" else self.parameters
        if found is None:
            return f"this kernel has no {name}"
        return "" if found in known else f"{name} takes {found} parameters here, not {' or '.join(map(str, known))}"


def _security(name: str, *parameters: int, lsm: str = "", lsm_parameters: tuple[int, ...] = ()) -> Hook:
    return Hook(f"security_{name}", parameters, lsm or name, lsm_parameters or parameters)


TABLE: Final = (
    _security("file_open", 1),
    _security("file_permission", 2),
    _security("inode_getattr", 1),
    _security("path_mkdir", 3),
    _security("path_rmdir", 2),
    _security("path_mknod", 4),
    _security("path_link", 3),
    _security("path_symlink", 3),
    _security("path_unlink", 2),
    _security("path_rename", 5, lsm_parameters=(4, 5)),  # LSM hooks did not get the flags before 100f59d96405 (v5.19)
    _security("path_chmod", 2),
    _security("path_chown", 3),
    Hook("vfs_utimes", (2,)),  # security_inode_setattr() has no mount
    _security("path_truncate", 1),
    _security("file_truncate", 1),  # since 3350607dc563 (v6.2); before, path_truncate reported open files too
    _security("mmap_file", 3, lsm_parameters=(4,)),
    _security("bprm_check", 1, lsm="bprm_check_security"),
    _security("inode_permission", 2),
)

NEWER: Final = ("security_file_truncate",)
"""Hooks whose operations an older kernel reports through another hook: if they do not exist, nothing is missed."""

NAMING: Final = frozenset(GROUPS["namespace"]) | {"setattr", "truncate"}
"""Operations for which the system call knows only the requested name, and a hook the file that it led to."""


def hooks(chosen: frozenset[int], level: str) -> list[Hook]:
    """Return the hooks to attach, for indices into CALLS."""
    if level == "syscall":
        return []
    functions = {CALLS[number].name for number in chosen if number >= FIRST_HOOK}
    if level == "auto":
        named = {CALLS[number].op for number in chosen if number < FIRST_HOOK} & NAMING
        functions |= {hook.name for hook in HOOKS if hook.op in named}
    return [hook for hook in TABLE if hook.function in functions]


def returns(level: str) -> Plan:
    """Return the programs that emit pending hooks when their call returns; where system calls make the events, those do it."""
    return Plan("vfs", raw=["returned", "thread_ended"] if level == "vfs" else [])


def choices(chosen: frozenset[int]) -> Records:
    """Return ``config.hooks``: the op of each, and its index if it makes events itself."""
    table = np.zeros(wire.MAX_HOOKS, wire.HOOK_CHOICE)
    for place, hook in enumerate(HOOKS):
        number = FIRST_HOOK + place
        table[place]["call"], table[place]["op"] = number if number in chosen else 0, OP_NUMBER[hook.op]
    return table
