"""The kernel as a source of batches: loads objects, fills maps, attaches programs, and undoes all of it.

Separate from session.py, so that a fake source or a recording can replace it. The order is that of ``KernelSource.__init__``:
load, write rules, attach, mark running targets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from threading import Thread
from types import MappingProxyType
from typing import Final

import numpy as np

from filetap.capture import features, hooks, underway
from filetap.capture.aggregate_maps import AggregateMaps
from filetap.capture.ancestors import Ancestors, ProcessIds
from filetap.capture.cgroups import Cgroups
from filetap.capture.definitions import Arguments, Definitions, no_arguments
from filetap.capture.files import OverflowKeys
from filetap.capture.later import Elsewhere, Judge, Later
from filetap.capture.liveness import TargetLiveness
from filetap.capture.mounts import Mounts
from filetap.capture.name_filter import UnresolvedNameFilter
from filetap.capture.namespaces import find_ourselves, is_initial
from filetap.capture.options import Options, configuration, ring_slots
from filetap.capture.reader import Reader
from filetap.capture.requested import Home
from filetap.capture.rules import NameRules, NewFileTracker, Rules, own_root
from filetap.capture.silence import Facts, reasons
from filetap.capture.underway import Underway
from filetap.capture.users import accounts
from filetap.core import descriptors, wire
from filetap.core.batch import Batch, Overflow
from filetap.core.calls import FIRST_HOOK
from filetap.core.clock import Clock
from filetap.core.errors import KernelError, UsageError
from filetap.core.wire import Records
from filetap.kernel.libbpf import library
from filetap.kernel.loader import Link, Object, close_all
from filetap.kernel.maps import Map
from filetap.kernel.perf import MissingTracepointError
from filetap.kernel.ring import CpuRings, Ring, view_globals
from filetap.kernel.types import REGISTERS, KernelTypes
from filetap.probes import Plan, aio, cgroup, faults, iterators, preempt_safe, process, syscalls, uring, vfs
from filetap.probes.vfs import Hook
from filetap.render import command_line
from filetap.selection.filters import by_system_call, reported_by_hooks_alone

DEFINITIONS_SIZE: Final = 16 << 20
WAKEUPS_SIZE: Final = 4096
FILE_CACHE: Final = 64 << 10
NAME_CACHE: Final = 32 << 10
PARENTS: Final = 16 << 10
FOLLOWED: Final = 128 << 10
"""Processes that the kernel half knows at a time: those with children that were defined, or all that were forked."""
U32: Final = np.dtype("<u4")


class KernelSource:
    """The kernel as a source. Attached from construction to ``detach``, counting from ``start`` to ``stop``. Raise
    FiletapError if it cannot begin; then nothing is left."""

    def __init__(self, options: Options, clock: Clock) -> None:
        options.targets.check()
        features.require()
        descriptors.require()
        self.notes: list[str] = []
        """Requested operations that are not traced."""
        self.hooks: dict[str, str] = {}
        """Of the VFS level: function to its attach type."""
        self._resources = ExitStack()
        self._objects: list[Object] = []
        self._links: list[Link] = []
        self._replaced: list[Link] = []
        self._detaching: Thread | None = None
        self.forgotten = 0
        """Files whose definition was evicted to make room."""
        self._underway: Underway | None = None
        self._paths, self._clock = NameRules.of(options.filters), clock
        self.later: Later | None = None
        """With PATHs: looks up names whose text does not lead to one."""
        try:
            with KernelTypes() as kernel:
                self._options = self._settle(options, kernel)
                self._load(clock, kernel)
                self._write_rules()
                self.stop()
                self._attach()
                self._attach_hooks(kernel)
            self._write_targets()
        except BaseException:
            self.close()
            raise

    def _settle(self, options: Options, kernel: KernelTypes) -> Options:
        """Return the options by system call if no hook of the VFS level attaches, unless hooks were requested."""
        refused = hooks.refusals(kernel) if vfs.hooks(options.filters.calls, options.level) else ""
        if not refused:
            return options
        if any(number >= FIRST_HOOK for number in options.filters.calls):
            self._miss(f"no VFS hook attaches on this kernel ({refused})", options)
        return replace(options, level="syscall", filters=replace(options.filters, calls=by_system_call(options.filters.calls)))

    def _miss(self, what: str, options: Options) -> None:
        """Continue without the hooks, or raise an error with what to do. If no system call reports the requested operations,
        the run cannot continue."""
        chosen = options.filters.calls
        alone = ", ".join(sorted(reported_by_hooks_alone(chosen)))
        if not by_system_call(chosen):
            raise KernelError(f"cannot trace {alone}: {what}, and no system call reports it. Run filetap doctor.")
        if not options.best_effort:
            instead = f"remove -e {alone}" if options.level == "auto" and alone else "give --level syscall"
            raise KernelError(f"{what}: {instead}, or give --best-effort to continue without these hooks. Run filetap doctor for details.")
        self.notes.append(what)

    def _load(self, clock: Clock, kernel: KernelTypes) -> None:
        self._cpus = int(library().libbpf_num_possible_cpus())
        self._slots = ring_slots(self._options.room, self._cpus)
        chosen = self._options.filters.calls
        self._config = config = configuration(self._options, self._paths, self._cpus, self._slots)
        preempted = kernel.preempts_tracepoints()
        steady = preempt_safe if preempted else (lambda plan: plan)
        single = kernel.has_kfunc(REGISTERS) and not preempted
        self._plan = steady(syscalls.plan(chosen, self._options.timed, single, self._options.moving))
        config["every_call"] = "call_exit" not in self._plan.attached
        self._cast, self._task_storage = kernel.has_cast(), kernel.has_task_storage()
        self._sees_requests = bool(uring.programs(kernel))
        if not self._sees_requests:
            self.notes.append(f"not seen: {uring.SEES} (this kernel's tracepoints do not report which request completed)")
        self._following = steady(process.plan())
        others = [
            faults.plan(chosen),
            steady(uring.plan(kernel)),
            aio.plan(chosen, kernel, self._plan.attached),
            steady(vfs.returns(self._options.level)),
            cgroup.plan(len(self._options.targets.cgroups)),
        ]
        others = [plan for plan in others if plan.programs]
        self._process = self._object(self._following, config)
        plans = [self._plan, iterators.plan(kernel, self._everywhere, self._options.looks_later), *others]
        with ThreadPoolExecutor() as pool:  # the verifier takes a third of a second for all of them
            loaded = list(pool.map(lambda plan: self._object(plan, config), plans))
        self._syscalls, self._iterators = loaded[:2]
        self._others = list(zip(loaded[2:], others, strict=True))
        fd = self._process.map_fd
        self._globals = view_globals(fd("globals"))
        ourselves = find_ourselves(self._iterators)
        self._globals["self"][0], clock.boot_offset = ourselves.tgid, ourselves.boot_offset
        self._liveness = TargetLiveness(self._globals, self._process, self._iterators)
        self._cgroups = Cgroups(self._options.targets.cgroups, self._iterators, self._globals, clock)
        self._files = Map(fd("files"), wire.FILE_KEY, wire.FILE_ENTRY)
        self._names = Map(fd("requested"), wire.NAME_KEY, U32)
        self._is_own_root = own_root(Rules(self._iterators))
        self.definitions = Definitions(
            FILE_CACHE * 3 // 4,
            NAME_CACHE * 3 // 4,
            mounts=self._resources.enter_context(closing(Mounts())) if self._options.host_paths else None,
            aggregated=OverflowKeys(fd("overflows"), fd("counters"), self._cpus),
            accounts=accounts(self._is_own_root),
            ancestors=Ancestors(ProcessIds(fd("processes"))),
            arguments=self._arguments(clock),
        )
        self._wakeups = Ring(fd("wakeups"), WAKEUPS_SIZE)
        cpu_rings = CpuRings(fd("events"), fd("cpu_rings"), self._cpus, self._slots)
        self._reader = Reader(cpu_rings, Ring(fd("definitions"), DEFINITIONS_SIZE), self.definitions, clock)
        if self._options.aggregate:
            self._sums = AggregateMaps(fd("aggregates"), fd("sums_one"), fd("sums_other"))

    def _arguments(self, clock: Clock) -> Arguments:
        """Return arguments from /proc. Its numbers are the kernel's only in the initial pid namespace, and its times are
        filetap's."""
        if not self._options.arguments or not is_initial("pid"):
            return no_arguments
        return lambda pid, start: command_line.read(pid, start + clock.boot_offset)

    def _object(self, plan: Plan, config: Records, also: Mapping[str, Object] = MappingProxyType({})) -> Object:
        """Load one object, configured, with the maps of the first. ``also``: objects whose maps it uses, too."""
        loaded = Object(plan.object, cast=self._cast)
        self._resources.callback(loaded.close)
        self._objects.append(loaded)
        loaded.compare_layouts()
        chosen, moving = self._options.filters.calls, self._options.moving
        loaded.configure(config, aio.call_table(chosen) if plan.object == "aio" else syscalls.call_table(chosen, moving))
        loaded.resize({"events": self._slots * self._cpus, "cpu_rings": self._cpus, "definitions": DEFINITIONS_SIZE})
        loaded.resize({"files": FILE_CACHE, "requested": NAME_CACHE, "inode_rules": self._options.filters.rule_space})
        loaded.resize({"path_rules": max(1, len(self._paths.watch_paths)), "basenames": max(1, len(self._paths.basenames))})
        loaded.resize({"rejected": FILE_CACHE, "processes": FOLLOWED if self._options.ancestors else PARENTS})
        if self._options.aggregate:
            loaded.resize({"sums_one": self._options.sums, "sums_other": self._options.sums})
        if not self._task_storage:
            loaded.keep_tasks_in_table()
        if plan.object != "process":
            loaded.share(self._process, {"pending": underway.OWN, "iter": iterators.OWN}.get(plan.object, ()))
        for name, other in also.items():
            loaded.share(other, loaded.maps.keys() - underway.TABLES[name])
        for program, (attach_type, function) in plan.attach_targets.items():
            loaded.set_attach_target(program, attach_type, function)
        loaded.load(plan.programs)
        return loaded

    def _write_rules(self) -> None:
        """Convert paths to identities and names."""
        rules, filters = Rules(self._iterators), self._options.filters
        rules.write(filters, self._paths)
        if filters.paths or filters.exclude:
            self.definitions.home = Home(os.stat("/proc/self/ns/mnt").st_ino, self._is_own_root)
        if self._options.looks_later:
            elsewhere = Elsewhere(self._process.map_fd("elsewhere"), self._globals, self._clock)
            self.later = Later(
                Judge(self._iterators, self._paths), self.definitions, elsewhere, UnresolvedNameFilter(filters), self._paths.basenames
            )
        self._new_files = NewFileTracker(rules, filters, self._paths.watch_paths) if filters.places else None

    def _attach(self) -> None:
        for program in self._plan.raw:
            self._links.append(self._syscalls.attach(program))
        for loaded, plan in self._others:
            if plan.object == "cgroup":
                self._cgroups.write_paths(loaded.map_fd("cgroup_paths"))
            for (name, place), program in plan.handlers.items():
                Map(self._syscalls.map_fd(name), U32, U32).put(place, loaded.program_fd(program))
            self._links += [loaded.attach(program) for program in plan.raw]
            self._attach_if_allowed(loaded, plan)
        for tracepoint in self._plan.tracepoints:
            try:
                link = self._syscalls.attach_tracepoint(*tracepoint)
            except MissingTracepointError:
                continue  # this kernel does not have the call
            self._links.append(link)
            if tracepoint in self._plan.replaced:
                self._replaced.append(link)
        # Last, because its program at a thread's exit deletes the thread's state; the classic tracepoints first (probes.FIRST_CLASSIC).
        self._links += [self._process.attach_tracepoint(*tracepoint) for tracepoint in self._following.tracepoints]
        self._links += [self._process.attach(program) for program in self._following.raw]
        self._cgroups.settle()

    def _attach_hooks(self, kernel: KernelTypes) -> None:
        """Attach the hooks below the system calls, each by its best type."""
        wanted = vfs.hooks(self._options.filters.calls, self._options.level)
        if not wanted:
            return
        done = hooks.attach(wanted, self._load_hooks, kernel)
        self._links += done.links
        self.hooks = done.attach_types
        if done.attach_types:
            self.notes += done.notes(wanted)
        else:
            self._miss(f"no VFS hook attaches on this kernel ({done.why()})", self._options)

    def _load_hooks(self, attach_type: str, wanted: Sequence[Hook]) -> Object:
        """Load the object again for each attach type, which its configuration contains."""
        config = self._config.copy()
        config["attach_type"] = wire.ATTACH_TYPES.index(attach_type)
        return self._object(Plan("vfs", attach_targets={hook.program: (attach_type, hook.target(attach_type)) for hook in wanted}), config)

    def _attach_if_allowed(self, loaded: Object, plan: Plan) -> None:
        """Attach if tracefs allows it: only root can read it, and classic tracepoints are found there. Without them a hook
        set of a few calls is missed."""
        try:
            self._links += [loaded.attach_tracepoint(*tracepoint) for tracepoint in plan.tracepoints]
        except (OSError, KernelError) as error:
            self.notes.append(f"not seen: {plan.sees} ({error})")

    def _write_targets(self) -> None:
        """Write the targets twice, because a process that the iterator has not reached may fork a child that it misses."""
        pids = Map(self._iterators.map_fd("pids"), U32, U32)
        for pid, mark in self._options.targets.marks().items():
            pids.put(pid, mark)
        program = self._marking_program()
        for _ in range(2):
            self._iterators.run_iterator(program)
        self._options.targets.check_processes()
        if self._options.targets.pids and self.live <= 0:
            raise UsageError(f"process {self._options.targets.pids[0]} has ended: nothing to trace")
        self._options.targets.close()
        self.enable_enter_probes()

    @property
    def _everywhere(self) -> bool:
        """Return whether targets may run where filetap's pid namespace does not show them."""
        return bool(self._options.targets.comms) and not is_initial("pid")

    def _marking_program(self) -> str:
        """Return the iterator. Targets given by number are in filetap's pid namespace, and so are their descendants."""
        if not self._everywhere:
            return "mark_targets"
        if iterators.EVERYWHERE in self._iterators.loaded:
            return iterators.EVERYWHERE
        self.notes.append("not seen: processes of -c outside this pid namespace that were already running (this kernel cannot list them)")
        return "mark_targets"

    def enable_enter_probes(self) -> None:
        """Once a target has threads, attach the programs that find the files of descriptors at the entry."""
        if self._plan.later and self._globals["threads"][0]:
            self._links += [self._syscalls.attach(program) for program in self._plan.later]
            self._detaching = close_all(self._replaced)
            self._plan.later = []

    @property
    def fd(self) -> int:
        """Return a descriptor that becomes readable when a CPU ring is a quarter full, until ``woken``."""
        return self._wakeups.fd

    def woken(self) -> None:
        """Reset the wake-up."""
        self._wakeups.release(self._wakeups.produced())

    @property
    def live(self) -> int:
        """Return how many target processes, with their descendants, still run."""
        return self._liveness.count()

    def drain(self, final: bool = False) -> Iterator[Batch]:
        """Yield what is there now, as Reader.drain."""
        for batch in self._reader.drain(final):
            if self._new_files:
                self._new_files.note(batch)
            yield batch
        if self._new_files and not final and self._new_files.look():
            self._globals["arrived"][0] += 1
        if not self._options.aggregate:
            self.forget_files()

    def take_sums(self) -> tuple[Records, Records]:
        """Return keys and values of the sums since the last call. Their ids are known after a drain, and until
        ``forget_files``."""
        return self._sums.take()

    def forget_files(self) -> None:
        """Keep both halves' tables of files bounded: evict the older half; a file that is used again is defined again."""
        files, names = self.definitions.evict()
        self.forgotten += len(files)
        if len(names):
            self._names.delete(names)
        if len(files):
            self._files.delete(files)
            self._globals["generation"][0] += 1

    def start(self) -> None:
        """Count all events from this moment on. None counted before, while only some programs were attached."""
        self._globals["stopped"][0] = 0

    def stop(self) -> None:
        """Count no more events from this moment on; the rings stay readable."""
        self._globals["stopped"][0] = 1

    def detach(self) -> None:
        if self._links:
            self.stop()
            close_all(self._links).join()
            self._links = []
        if self._detaching:
            self._detaching.join()

    def all_ended(self) -> bool:
        """Return whether no target is left that could be in a call."""
        return self._options.targets.ends_by_itself and self.live <= 0

    def underway(self) -> Underway:
        """Return the lister of pending calls and requests. Loaded at its first use: most runs end when their targets have
        ended."""
        if not self._underway:
            if not is_initial("pid") and self._options.targets.anywhere:
                self.notes.append("not listed: pending calls of processes outside this pid namespace")
            objects = {plan.object: loaded for loaded, plan in self._others if plan.object in underway.TABLES}
            if not self._sees_requests:
                objects.pop("uring", None)
            config = self._config.copy()
            config["first_id"], config["args"] = underway.IDS, False  # programs read arguments only from the current task's memory
            self._underway = Underway(self._object(underway.PLAN, config, objects), objects, int(self._globals["self"][0]))
        return self._underway

    def new_id(self) -> int:
        """Return an id for a file or task that user space makes."""
        return self._reader.new_id()

    @property
    def options(self) -> Options:
        """Return the effective options: without the hooks that do not attach here."""
        return self._options

    def counters(self) -> Records:
        """Return struct counters, one record per CPU; files that user space could not make a rule are added to the first."""
        counters = Map(self._process.map_fd("counters"), U32, wire.COUNTERS).per_cpu(self._cpus)
        counters["rules_full"][0] += self._new_files.missed if self._new_files else 0
        counters["unresolved"][0] += self.later.missed if self.later else 0
        return counters

    def missed(self) -> int:
        """Return how often the kernel skipped one of filetap's programs, so that its event was not seen."""
        return sum(loaded.missed() for loaded in self._objects)

    def silence(self, unmatched: int) -> list[str]:
        """Return possible reasons why nothing was seen. ``unmatched``: calls that were left out because of their names."""
        executed, named, live = (bool(self._globals[name][0] > 0) for name in ("executed", "named", "live"))
        facts = Facts(executed, named, live, bool(self.hooks), unmatched, list(self._cgroups.unused()))
        return reasons(self._options.targets, self._options.filters, facts)

    def cgroup_news(self) -> list[str]:
        """Return lines on target cgroups that were created or removed since the last call."""
        return list(self._cgroups.news())

    def cgroup_notes(self) -> list[str]:
        """Return notes on target cgroups that no longer exist."""
        return list(self._cgroups.gone())

    def overflows(self) -> list[Overflow]:
        """Return the events that did not fit in the CPU rings."""
        keys, values = Map(self._process.map_fd("overflows"), wire.OVERFLOW_KEY, wire.OVERFLOW).items()
        return [
            Overflow(**{n: int(k[n]) for n in ("task", "file", "op", "pid")}, **{n: int(v[n]) for n in ("count", "bytes", "first", "last")})
            for k, v in zip(keys, values, strict=True)
        ]

    def close(self) -> None:
        """Detach and release everything."""
        self.detach()
        self._resources.close()
