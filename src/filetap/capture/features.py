"""The capabilities of this kernel, found by what exists and by trials, never by its version.

Separate, because all differences between kernels are decided here and in bpf/lib/compat.bpf.h.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from filetap.capture import trials
from filetap.capture.namespaces import is_initial
from filetap.core import descriptors, wire
from filetap.core.calls import MAX_NR
from filetap.core.errors import KernelError
from filetap.kernel.libbpf import library
from filetap.kernel.loader import TASKS, Object
from filetap.kernel.types import BTF, REGISTERS, KernelTypes
from filetap.probes import aio, fitting, iterators, preempt_safe, syscalls, uring, vfs


@dataclass(frozen=True)
class Requirement:
    """Something a trace needs, or (not ``needed``) is better with. ``detail``: what was found, or why not and what to do."""

    name: str
    met: bool
    needed: bool
    detail: str


@dataclass(frozen=True)
class Way:
    """One way to attach a hook set's programs; ``reason`` explains why it does not work."""

    name: str
    works: bool
    reason: str


@dataclass(frozen=True)
class HookSet:
    """The programs that trace one family of operations. ``chosen`` is None if none attaches."""

    name: str
    sees: str
    ways: tuple[Way, ...]
    chosen: str | None
    missed: str
    advice: str
    needed: bool = True
    """Without it nothing can be traced."""


@dataclass(frozen=True)
class Features:
    """The result of examine()."""

    kernel: str
    architecture: str
    libbpf: str | None
    capabilities: dict[str, bool]
    requirements: tuple[Requirement, ...]
    hook_sets: tuple[HookSet, ...]

    @property
    def tracing(self) -> bool:
        """Return whether ``filetap trace`` works here."""
        return all(r.met for r in self.requirements if r.needed) and all(h.chosen for h in self.hook_sets if h.needed)


class Capability(NamedTuple):
    bit: int
    purpose: str


CAPABILITIES: Final = {
    "CAP_BPF": Capability(39, "load BPF programs and create maps"),
    "CAP_PERFMON": Capability(38, "let BPF programs read kernel memory"),
    "CAP_SYS_ADMIN": Capability(21, "mount a private tracefs to find tracepoints"),
    "CAP_SYS_PTRACE": Capability(19, "read other users' processes in /proc"),
}
"""Number (linux/capability.h) and use. CAP_BPF and CAP_PERFMON came with a17b53c4a4b5 and 980737282232 (v5.8)."""

_INITIAL_USER_NAMESPACE: Final = 0xEFFFFFFD
"""PROC_USER_INIT_INO of include/linux/proc_ns.h."""

_STATUS: Final = "/proc/self/status"


def capabilities(status: str) -> dict[str, bool]:
    """Return which of CAPABILITIES are effective, from the text of /proc/PID/status."""
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return {name: bool(int(effective, 16) >> capability.bit & 1) for name, capability in CAPABILITIES.items()}


def missing(held: dict[str, bool]) -> list[str]:
    """Return the missing ones. CAP_SYS_ADMIN includes the two that were split from it (bpf_capable, perfmon_capable)."""
    implied = {"CAP_BPF", "CAP_PERFMON"} if held["CAP_SYS_ADMIN"] else set()
    return [name for name, there in held.items() if not there and name not in implied]


def _architecture() -> str:
    machine = platform.machine()
    if machine != "x86_64" or sys.maxsize < 1 << 32:
        bits = "" if sys.maxsize > 1 << 32 else ", 32-bit Python"
        raise KernelError(f"this is {machine}{bits}, and this version supports only 64-bit x86-64")
    return machine


def _capabilities() -> str:
    absent = missing(capabilities(Path(_STATUS).read_text()))
    if absent:
        purposes = ", ".join(f"{name} (to {CAPABILITIES[name].purpose})" for name in absent)
        root = os.geteuid() == 0
        remedy = "grant them to this container or service" if root else "run it as root, with sudo"
        raise KernelError(f"{'' if root else 'not root, '}missing capabilities {purposes}: {remedy}")
    return ", ".join(CAPABILITIES)


def _user_namespace() -> str:
    """Check the user namespace. The kernel checks capabilities in the initial one; those of a rootless container do not
    count."""
    if os.stat("/proc/self/ns/user").st_ino != _INITIAL_USER_NAMESPACE:
        raise KernelError("this is root only in a user namespace, such as a rootless container: run filetap as root of the host")
    return "initial"


def _types() -> str:
    if not os.access(BTF, os.R_OK):
        raise KernelError(f"{BTF} is missing: run a kernel built with CONFIG_DEBUG_INFO_BTF, as Debian's are")
    return BTF


def _libbpf() -> str:
    return str(library().libbpf_version_string().decode()).removeprefix("v")


_CHECKS: Final[dict[str, Callable[[], str]]] = {
    "architecture": _architecture,
    "capabilities": _capabilities,
    "user namespace": _user_namespace,
    "BTF": _types,
    "libbpf": _libbpf,
}
"""Each returns what it found, or raises KernelError. A millisecond for all of them."""


def require() -> None:
    """Raise KernelError with what to do, if nothing can be traced here."""
    for check in _CHECKS.values():
        check()


_HELPERS: Final = {
    "bpf_probe_read_user": 112,
    "bpf_probe_read_kernel": 113,  # not in lockdown's confidentiality mode
    "bpf_ktime_get_boot_ns": 125,  # 71d19214776e (v5.8)
    "bpf_ringbuf_reserve": 131,  # 457f44363a88 (v5.8)
}
"""Helpers that filetap's programs need and some kernel lacks or forbids, and their numbers (enum bpf_func_id)."""
OBJECTS: Final = ("process", "syscalls", "iter", "faults", "uring", "aio", "cgroup")
NOT_TRIED: Final = "not tried"
_REMEDY: Final = "run filetap where bpf(2) is allowed (no seccomp filter, no lockdown), on Linux 5.10 or later"
"""What to do if none of the trials succeeded; the version is advice, not a test."""


def _object(name: str, types: KernelTypes) -> None:
    """Load all programs of one object. Each part may be allowed, and the verifier may still refuse the whole."""
    config = np.zeros(1, wire.CONFIG)
    loaded = Object(name, cast=types.has_cast())
    if not types.has_task_storage():
        loaded.keep_tasks_in_table()
    try:
        loaded.configure(config, np.zeros(MAX_NR + wire.MAX_OPCODES, wire.CALL_RECORD))
        loaded.resize({"definitions": os.sysconf("SC_PAGE_SIZE")})
        loaded.load(_fitting(loaded, types))
    finally:
        loaded.close()


def _fitting(loaded: Object, types: KernelTypes) -> set[str]:
    """Return those of its programs that are for this kernel."""
    preempted = types.preempts_tracepoints()
    if loaded.name == "uring":
        plan = uring.plan(types)
        return (preempt_safe(plan) if preempted else plan).programs
    if loaded.name == "iter":
        return iterators.plan(types, everywhere=True, judge=True).programs
    return fitting(loaded.programs, preempted) - (set() if types.has_kfunc(REGISTERS) else syscalls.CLASSIC | aio.CLASSIC)


class Plan(NamedTuple):
    """A hook set before any trial. ``missed``: what is not traced even if it attaches; ``without``: what else if it does not."""

    name: str
    sees: str
    ways: dict[str, tuple[trials.Attempt, ...]]
    missed: str
    without: str
    advice: str = "nothing"
    remedy: str = _REMEDY
    """What to do if no way works."""
    needed: bool = True
    preempted: Mapping[str, tuple[trials.Attempt, ...]] = MappingProxyType({})
    """Replaces ``ways`` where the kernel preempts programs of raw tracepoints (probes.preempt_safe)."""


_BY_HOOK: Final[dict[str, tuple[trials.Attempt, ...]]] = {
    way: (partial(trials.hook, way, "file_permission"),) for way in vfs.attach_types(preempted=False)
}
PLANS: Final = (
    Plan(
        "syscalls",
        "all operations on files, by system call",
        {
            "tp_btf": (partial(trials.tp_btf, "sys_enter"), partial(trials.tp_btf, "sys_exit")),
            "tracepoint": (trials.registers, *(partial(trials.tracepoint, "syscalls", f"sys_{edge}_openat") for edge in ("enter", "exit"))),
        },
        "system calls of 32-bit programs are only counted; stat and similar calls by name have the path as the caller wrote it",
        "every file access",
        "nothing (with -e open alone, tracepoint is used if it attaches, because it slows untraced processes less)",
        preempted={
            "tracepoint": (trials.registers, *(partial(trials.tracepoint, "raw_syscalls", f"sys_{edge}") for edge in ("enter", "exit")))
        },
    ),
    Plan(
        "process",
        "fork, exec and exit; needed to trace the children of targets",
        {"tp_btf": tuple(partial(trials.tp_btf, f"sched_process_{event}") for event in ("fork", "exec", "exit"))},
        "",
        "processes that begin or end while tracing",
        preempted={
            "tracepoint": (
                partial(trials.tp_btf, "sched_process_exec"),
                *(partial(trials.tracepoint, "sched", f"sched_process_{event}") for event in ("fork", "exit")),
            )
        },
    ),
    Plan(
        "vfs",
        "hooks below the system calls, and the files that names in calls led to",
        _BY_HOOK,
        "operations of the kernel itself that have no path (nfsd, overlayfs inside its layers)",
        "--level vfs and -e permission; rename, unlink and similar calls have the path as the caller wrote it, without an inode",
        remedy="run a kernel with BPF trampolines (fentry, LSM with lsm=...,bpf) or kprobes, and with the right to attach them",
        needed=False,
        preempted={way: _BY_HOOK[way] for way in vfs.attach_types(preempted=True)},
    ),
    Plan(
        "faults",
        "accesses to memory-mapped files, by page fault",
        {"tp_btf": (partial(trials.tp_btf, "page_fault_user"), partial(trials.tp_btf, "page_fault_kernel"))},
        "accesses to pages that are already mapped, also by an earlier fault nearby (fault-around)",
        "accesses through mmap; the mmap call itself is seen",
    ),
    Plan(
        "io_uring",
        "io_uring requests, from submission to completion",
        {"tp_btf": (trials.io_uring,)},
        "the result of requests submitted with IOSQE_CQE_SKIP_SUCCESS",
        "operations through io_uring; many programs have an option to use plain system calls instead",
        remedy="run Linux 6.0 or later",
        needed=False,
        preempted={"tracepoint": (trials.io_uring, partial(trials.tracepoint, "io_uring", "io_uring_complete"))},
    ),
)
"""The ways are in order of preference."""


def hook_set(plan: Plan, types: KernelTypes | None, ready: bool) -> HookSet:
    """Try a hook set's ways. Without ``types`` nothing is tried, and nothing is chosen unless all requirements are met."""
    reasons = {
        name: next(filter(None, (trials.reason(attempt, types) for attempt in attempts)), "") if types else NOT_TRIED
        for name, attempts in _ways(plan, types).items()
    }
    ways = tuple(Way(name, not reason, reason) for name, reason in reasons.items())
    chosen = next((way.name for way in ways if way.works), None) if ready else None
    return HookSet(plan.name, plan.sees, ways, chosen, plan.missed if chosen else plan.without, _advice(plan, ways, ready), plan.needed)


def _ways(plan: Plan, types: KernelTypes | None) -> Mapping[str, tuple[trials.Attempt, ...]]:
    return plan.preempted if types and plan.preempted and types.preempts_tracepoints() else plan.ways


def _advice(plan: Plan, ways: tuple[Way, ...], ready: bool) -> str:
    if not ready:
        return "meet the requirements"
    if not any(way.works for way in ways):
        return plan.remedy
    return plan.advice if {way.name for way in ways} == set(plan.ways) else "nothing"


def _requirement(name: str, check: Callable[[], str]) -> Requirement:
    try:
        return Requirement(name, True, True, check())
    except KernelError as error:
        return Requirement(name, False, True, str(error))


def _tried(types: KernelTypes) -> Iterator[Requirement]:
    """Yield the features of the kernel that filetap's programs need."""
    absent = [name for name, number in _HELPERS.items() if trials.reason(partial(trials.helper, number), types)]
    missed = f"missing {', '.join(absent)}: {_REMEDY}"
    yield Requirement("helpers", not absent, True, missed if absent else "all available")
    parts: dict[str, trials.Attempt] = {"ring buffer": trials.ring}
    parts |= {f"iter/{over}": partial(trials.iterator, over) for over in ("task", "task_file")}
    for name, attempt in parts.items():
        reason = trials.reason(attempt, types)
        yield Requirement(name, not reason, True, f"{reason}: {_REMEDY}" if reason else "works")
    refusals = "; ".join(filter(None, (trials.reason(partial(_object, name), types) for name in OBJECTS)))
    yield Requirement("programs", not refusals, True, f"{refusals}: run a newer kernel, or report a bug" if refusals else "all load")
    yield from _better_with(types)


def _better_with(types: KernelTypes) -> Iterator[Requirement]:
    """Yield the features that tracing works without, at a price."""
    cast, storage, registers = types.has_cast(), types.has_task_storage(), types.has_kfunc(REGISTERS)
    with_, without = "events cost half as much as without it", "not in this kernel: events cost twice as much"
    yield Requirement("bpf_rdonly_cast", cast, False, with_ if cast else without)
    with_ = "a call of an untraced process costs one memory load"
    without = f"not in this kernel: events cost more, calls of untraced processes cost a table lookup, and at most {TASKS} tasks are traced"
    yield Requirement("task storage", storage, False, with_ if storage else without)
    own, all_ = "rare calls are traced at their own tracepoints", "rare calls are traced at the hook for all calls"
    with_, without = f"this kernel preempts programs: {all_}" if types.preempts_tracepoints() else own, f"not in this kernel: {all_}"
    yield Requirement(REGISTERS, registers, False, with_ if registers else without)


def _namespaces(types: KernelTypes) -> Iterator[Requirement]:
    """Yield the namespaces, and what is different in them."""
    initial = "initial"
    there = {kind: is_initial(kind) for kind in ("pid", "time", "cgroup")}
    inside = (
        "not the initial one: -p takes pids of this namespace, events have pids of the host, "
        "and pending calls of processes outside are not listed"
    )
    blind = f"{inside}; -c does not find processes that already run outside: share the host's namespace (--pid=host)"
    walks = types.has_kfunc(iterators.WALK)
    yield Requirement("pid namespace", there["pid"] or walks, False, initial if there["pid"] else inside if walks else blind)
    if os.readlink("/proc/self") != str(os.getpid()):
        other = "/proc belongs to another pid namespace, so -p takes no thread ids: mount a /proc of this one (mount -t proc)"
        yield Requirement("/proc", False, False, other)
    yield Requirement("time namespace", True, False, initial if there["time"] else "not the initial one: times are still those of the host")
    below = "not the initial one: --cgroup PATH is relative to its root, events have the path from the host's root"
    yield Requirement("cgroup namespace", True, False, initial if there["cgroup"] else below)


def _descriptors() -> Requirement:
    """Return the hard limit, to which a run raises its soft limit."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    enough = most >= descriptors.USED
    too_few = f"at most {most}, and a run may need {descriptors.USED}: raise the hard limit (ulimit -n)"
    return Requirement("descriptors", enough, False, f"at most {most}" if enough else too_few)


def examine() -> Features:
    """Test everything, in a fraction of a second. Never raises."""
    rows = {name: _requirement(name, check) for name, check in _CHECKS.items()}
    hook_sets = tuple(hook_set(plan, None, ready=False) for plan in PLANS)
    if _met(rows):
        try:
            with KernelTypes() as types:
                rows |= {row.name: row for row in (*_tried(types), *_namespaces(types))}
                hook_sets = tuple(hook_set(plan, types, _met(rows)) for plan in PLANS)
        except KernelError as error:
            rows["BTF"] = Requirement("BTF", False, True, str(error))
    rows["descriptors"] = _descriptors()
    libbpf = rows["libbpf"].detail if rows["libbpf"].met else None
    held = capabilities(Path(_STATUS).read_text())
    return Features(platform.release(), platform.machine(), libbpf, held, tuple(rows.values()), hook_sets)


def _met(rows: dict[str, Requirement]) -> bool:
    return all(row.met for row in rows.values() if row.needed)
