"""Which programs a run needs on this kernel: its plans, one per object.

Separate from programs.py, which loads them: here everything is decided, and nothing is done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from filetap.capture import hooks
from filetap.capture.namespaces import is_initial
from filetap.capture.options import Options
from filetap.core.calls import FIRST_HOOK
from filetap.core.errors import KernelError
from filetap.kernel.types import REGISTERS, KernelTypes
from filetap.probes import Plan, aio, cgroup, faults, iterators, preempt_safe, process, syscalls, uring, vfs
from filetap.selection.filters import by_system_call, reported_by_hooks_alone
from filetap.selection.targets import Targets


@dataclass(slots=True)
class Choice:
    """The plans, and what they leave out."""

    options: Options
    """Without the hooks that do not attach here."""
    process: Plan
    """It has the maps that all others share."""
    syscalls: Plan
    iterators: Plan
    others: list[Plan]
    hooks: list[vfs.Hook]
    """Of the VFS level, to be tried one by one."""
    cast: bool
    """Whether the kernel has bpf_rdonly_cast."""
    task_storage: bool
    cgroup_states: bool
    """Tasks in target cgroups have states: the kernel can walk the threads of a process."""
    sees_requests: bool
    """Whether completions of io_uring name their requests."""
    untraced: list[str]
    """Notes on requested operations that are not traced."""

    def miss(self, what: str) -> None:
        """Continue without the hooks, or raise an error with what to do. If no system call reports the requested operations,
        the run cannot continue."""
        options, chosen = self.options, self.options.filters.calls
        alone = ", ".join(sorted(reported_by_hooks_alone(chosen)))
        if not by_system_call(chosen):
            raise KernelError(f"cannot trace {alone}: {what}, and no system call reports it. Run filetap doctor.")
        if not options.best_effort:
            instead = f"remove -e {alone}" if options.level == "auto" and alone else "give --level syscall"
            raise KernelError(f"{what}: {instead}, or give --best-effort to continue without these hooks. Run filetap doctor for details.")
        self.untraced.append(what)


def choose(options: Options, kernel: KernelTypes) -> Choice:
    """Return what to load and attach. Raise KernelError if what was requested cannot be traced here."""
    refused = hooks.refusals(kernel) if vfs.hooks(options.filters.calls, options.level) else ""
    chosen = _choice(options, kernel)
    if not refused:
        return chosen
    if any(number >= FIRST_HOOK for number in options.filters.calls):
        chosen.miss(f"no VFS hook attaches on this kernel ({refused})")
    filters = replace(options.filters, calls=by_system_call(options.filters.calls))
    return replace(_choice(replace(options, level="syscall", filters=filters), kernel), untraced=chosen.untraced)


def _choice(options: Options, kernel: KernelTypes) -> Choice:
    calls, preempted = options.filters.calls, kernel.preempts_tracepoints()
    steady = preempt_safe if preempted else (lambda plan: plan)
    single = kernel.has_kfunc(REGISTERS) and not preempted
    of_calls = steady(syscalls.plan(calls, options.timed, single, options.moving))
    others = [
        faults.plan(calls),
        steady(uring.plan(kernel)),
        aio.plan(calls, kernel, of_calls.attached),
        steady(vfs.returns(options.level)),
        cgroup.plan(len(options.targets.cgroups)),
    ]
    sees = bool(uring.programs(kernel))
    members = bool(options.targets.cgroups) and kernel.has_task_storage() and kernel.has_kfunc(iterators.WALK) and not preempted
    unseen = f"not seen: {uring.SEES} (this kernel's tracepoints do not report which request completed)"
    return Choice(
        options=options,
        process=steady(process.plan(members)),
        syscalls=of_calls,
        iterators=iterators.plan(kernel, everywhere(options.targets, members), options.looks_later),
        others=[plan for plan in others if plan.programs],
        hooks=list(vfs.hooks(calls, options.level)),
        cast=kernel.has_cast(),
        task_storage=kernel.has_task_storage(),
        cgroup_states=members,
        sees_requests=sees,
        untraced=[] if sees else [unseen],
    )


def everywhere(targets: Targets, members: bool) -> bool:
    """Return whether tasks to be marked may run where filetap's pid namespace does not show them. ``members``: those in target
    cgroups are to be marked."""
    return (bool(targets.comms) or members) and not is_initial("pid")
