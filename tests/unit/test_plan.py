"""The hooks that are attached for given filters, on kernels that lack something.

Separate, as it needs no kernel: the plans are plain data.
"""

from __future__ import annotations

import pytest

from filetap.core.calls import CALLS
from filetap.probes import Plan, aio, preempt_safe, process, syscalls, vfs

EVERYTHING = frozenset(range(1, len(CALLS)))


class Kernel:
    """A kernel that has all functions."""

    def has_kfunc(self, name: str) -> bool:
        return True


def numbers(*names: str) -> frozenset[int]:
    """Return numbers of calls: ``name``, or ``name.op`` if the call has several operations."""
    return frozenset(n for n, call in enumerate(CALLS) if call.name in names or f"{call.name}.{call.op}" in names)


@pytest.mark.parametrize("latency", [False, True])
@pytest.mark.parametrize("chosen", [EVERYTHING, numbers("openat"), numbers("read"), numbers("close"), numbers("io_submit"), frozenset()])
def test_no_classic_tracepoint_without_registers(chosen: frozenset[int], latency: bool) -> None:
    plan = syscalls.plan(chosen, latency, single=False)
    requests = aio.plan(chosen, Kernel(), plan.attached)
    assert not (*plan.tracepoints, *plan.replaced, *requests.tracepoints)
    assert not (plan.programs | requests.programs) & (syscalls.CLASSIC | aio.CLASSIC)


@pytest.mark.parametrize(
    ("chosen", "latency", "raw", "later"),
    [
        (numbers("openat"), False, ["raw_exit"], ["raw_enter"]),
        (numbers("read"), False, ["raw_exit"], ["raw_enter"]),
        (numbers("read"), True, ["raw_exit", "raw_enter"], []),
        (numbers("close"), False, ["raw_exit", "raw_enter"], []),
        (numbers("munmap"), False, ["raw_exit", "raw_enter"], []),
        (numbers("io_submit"), False, ["raw_exit", "raw_enter"], []),
        (frozenset(), False, ["raw_exit"], ["raw_enter"]),
    ],
)
def test_enters_without_registers(chosen: frozenset[int], latency: bool, raw: list[str], later: list[str]) -> None:
    """At once if a call's file is gone at its exit, or its requests are known at the enter; otherwise once a target has threads."""
    assert syscalls.plan(chosen, latency, single=False) == Plan("syscalls", raw=raw, later=later)


def test_rare_calls_with_registers() -> None:
    plan = syscalls.plan(numbers("openat"), False, single=True)
    assert not (*plan.raw, *plan.later)
    assert ("call_exit", "syscalls", "sys_exit_openat") in plan.tracepoints
    assert plan.programs <= syscalls.CLASSIC


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("preempted", [False, True])
def test_requests_are_passed_on_where_all_calls_are_hooked(single: bool, preempted: bool) -> None:
    """To programs of the same type."""
    plan = syscalls.plan(EVERYTHING, True, single)
    plan = preempt_safe(plan) if preempted else plan
    requests = aio.plan(EVERYTHING, Kernel(), plan.attached)
    assert set(requests.handlers) == {("enter_progs", 1), ("enter_progs", 3), ("exit_progs", 1), ("exit_progs", 2)}
    assert not requests.tracepoints
    assert {program.startswith("raw_") for program in requests.programs} == {not preempted}


@pytest.mark.parametrize("latency", [True, False])
@pytest.mark.parametrize("chosen", [EVERYTHING, numbers("openat"), numbers("read")])
def test_where_raw_tracepoints_are_preempted(chosen: frozenset[int], latency: bool) -> None:
    """All calls by classic tracepoints from the start, each once, and none by its own; calls without a classic one stay."""
    plan = preempt_safe(syscalls.plan(chosen, latency, single=False))
    assert (plan.raw, plan.later, plan.replaced) == ([], [], [])
    assert sorted(plan.tracepoints) == [("every_enter", "raw_syscalls", "sys_enter"), ("every_exit", "raw_syscalls", "sys_exit")]
    returns = preempt_safe(vfs.returns("vfs"))
    ended = ("classic_gone", "sched", "sched_process_exit")
    assert (returns.raw, returns.tracepoints) == ([], [("classic_ret", "raw_syscalls", "sys_exit"), ended])
    following = preempt_safe(process.plan(members=False))
    assert following.raw == ["process_exec"]
    events = ["sched_process_fork", "sched_process_exec", "sched_process_exit", "cgroup_attach_task"]
    assert sorted(event for _, _, event in following.tracepoints) == sorted(events)
