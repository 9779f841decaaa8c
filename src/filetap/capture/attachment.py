"""Attaches the programs of a run, in an order that misses no end of a thread, and detaches them."""

from __future__ import annotations

from threading import Thread

import numpy as np

from filetap.capture import hooks
from filetap.capture.cgroups import Cgroups
from filetap.capture.choice import Choice
from filetap.capture.programs import Programs
from filetap.core.errors import KernelError
from filetap.kernel.loader import Link, Object, close_all
from filetap.kernel.maps import Map
from filetap.kernel.perf import MissingTracepointError
from filetap.kernel.types import KernelTypes
from filetap.probes import Plan

U32 = np.dtype("<u4")


class Attachment:
    """The links. Attached from ``attach`` to ``detach``."""

    def __init__(self, choice: Choice, programs: Programs) -> None:
        self._choice, self._programs = choice, programs
        self._links: list[Link] = []
        self._replaced: list[Link] = []
        self._later = list(choice.syscalls.later)
        self._detaching: Thread | None = None
        self.attach_types: dict[str, str] = {}
        """Of the VFS level: function to its attach type."""

    def attach(self, cgroups: Cgroups, kernel: KernelTypes) -> None:
        """Attach everything but the programs that need a target with threads. ``cgroups`` are known from then on."""
        self._attach_calls(cgroups)
        # Last, because its program at a thread's exit deletes the thread's state; the classic tracepoints first (probes.FIRST_CLASSIC).
        process, plan = self._programs.process, self._choice.process
        self._links += [process.attach_tracepoint(*tracepoint) for tracepoint in plan.tracepoints]
        self._links += [process.attach(program) for program in plan.raw]
        cgroups.settle()
        self._attach_hooks(kernel)

    def _attach_calls(self, cgroups: Cgroups) -> None:
        syscalls, plan = self._programs.syscalls, self._choice.syscalls
        self._links += [syscalls.attach(program) for program in plan.raw]
        for loaded, other in self._programs.others:
            if other.object == "cgroup":
                cgroups.write_paths(loaded.map_fd("cgroup_paths"))
            self._attach_other(loaded, other)
        for tracepoint in plan.tracepoints:
            try:
                link = syscalls.attach_tracepoint(*tracepoint)
            except MissingTracepointError:
                continue  # this kernel does not have the call
            self._links.append(link)
            if tracepoint in plan.replaced:
                self._replaced.append(link)

    def _attach_other(self, loaded: Object, plan: Plan) -> None:
        """Attach one object. Classic tracepoints only if tracefs allows it: only root can read it, and they are found there.
        Without them a hook set of a few calls is missed."""
        for (name, place), program in plan.handlers.items():
            Map(self._programs.syscalls.map_fd(name), U32, U32).put(place, loaded.program_fd(program))
        self._links += [loaded.attach(program) for program in plan.raw]
        try:
            self._links += [loaded.attach_tracepoint(*tracepoint) for tracepoint in plan.tracepoints]
        except (OSError, KernelError) as error:
            self._choice.untraced.append(f"not seen: {plan.sees} ({error})")

    def _attach_hooks(self, kernel: KernelTypes) -> None:
        """Attach the hooks below the system calls, each by its best type."""
        wanted = self._choice.hooks
        if not wanted:
            return
        done = hooks.attach(wanted, self._programs.load_hooks, kernel)
        self._links += done.links
        self.attach_types = done.attach_types
        if done.attach_types:
            self._choice.untraced += done.notes(wanted)
        else:
            self._choice.miss(f"no VFS hook attaches on this kernel ({done.why()})")

    def refresh(self) -> None:
        """Once a target has threads, attach the programs that find the files of descriptors at the entry."""
        if self._later and self._programs.globals["threads"][0]:
            self._links += [self._programs.syscalls.attach(program) for program in self._later]
            self._detaching = close_all(self._replaced)
            self._later = []

    def detach(self) -> None:
        if self._links:
            close_all(self._links).join()
            self._links = []
        if self._detaching:
            self._detaching.join()
