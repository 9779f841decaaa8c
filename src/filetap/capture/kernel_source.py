"""The kernel as a source of batches: composes what is chosen, loaded, attached, written and read.

Separate from session.py, so that a fake source can replace it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Final

import numpy as np

from filetap.capture import features
from filetap.capture.aggregate_maps import AggregateMaps
from filetap.capture.ancestors import Ancestors, ProcessIds
from filetap.capture.attachment import Attachment
from filetap.capture.cgroups import Cgroups
from filetap.capture.choice import Choice, choose
from filetap.capture.definitions import Arguments, Definitions, no_arguments
from filetap.capture.files import OverflowKeys
from filetap.capture.later import Elsewhere, Judge, Later
from filetap.capture.lister import NONE, Lister
from filetap.capture.liveness import TargetLiveness
from filetap.capture.marking import mark, mark_members
from filetap.capture.name_filter import NameFilter, UnresolvedNameFilter
from filetap.capture.namespaces import find_ourselves, is_initial
from filetap.capture.options import Options
from filetap.capture.pending import Listing
from filetap.capture.programs import DEFINITIONS_SIZE, FILE_CACHE, NAME_CACHE, Programs
from filetap.capture.reader import Reader
from filetap.capture.requested import Home
from filetap.capture.rules import NameRules, NewFileTracker, Rules, own_root
from filetap.capture.silence import Facts, reasons
from filetap.capture.statistics import kernel_notes
from filetap.capture.underway import LazyUnderway
from filetap.core import command_line, descriptors, wire
from filetap.core.batch import Batch, Overflow
from filetap.core.clock import Clock
from filetap.core.stage import Stage
from filetap.core.wire import Records
from filetap.enrich.host_paths import HostPaths, Mounts
from filetap.enrich.users import UserNames, accounts
from filetap.kernel.maps import Map
from filetap.kernel.ring import CpuRings, Ring
from filetap.kernel.types import KernelTypes

WAKEUPS_SIZE: Final = 4096
U32: Final = np.dtype("<u4")


class KernelSource:
    """A Source (source.py). ``options``: of the run, until it is attached; then those that this kernel can do."""

    def __init__(self, options: Options) -> None:
        options.targets.check()
        self.options = options
        self.clock = Clock()
        self.hooks: dict[str, str] = {}
        self.untraced: list[str] = []
        self.forgotten = 0
        """Files whose definition was evicted to make room."""
        self.later: Later | None = None
        """With PATHs: looks up names whose text does not lead to one."""
        self._resources = ExitStack()
        self._attachment: Attachment | None = None

    def attach(self) -> None:
        """Load, write rules, attach, mark running targets."""
        features.require()
        descriptors.require()
        try:
            with KernelTypes() as kernel:
                choice = choose(self.options, kernel)
                self.options, self.untraced = choice.options, choice.untraced
                self._names = NameRules.of(self.options.filters)
                self.programs = self._resources.enter_context(closing(Programs(choice, self._names)))
                self._compose(choice)
                self._write_rules()
                self.stop()
                self._attachment = Attachment(choice, self.programs)
                self._attachment.attach(self._cgroups, kernel)
                self.hooks = self._attachment.attach_types
            self.untraced += mark(self.options.targets, self.programs.iterators, self.liveness, choice.cgroup_states)
            self.refresh()
        except BaseException:
            self.close()
            raise
        self._attached = self.clock.boot()

    def _compose(self, choice: Choice) -> None:
        """Make the readers of the maps."""
        programs, fd = self.programs, self.programs.map_fd
        ourselves = find_ourselves(programs.iterators)
        self.globals = programs.globals
        self.globals["self"][0], self.clock.boot_offset = ourselves.tgid, ourselves.boot_offset
        self.liveness = TargetLiveness(self.globals, programs.process, programs.iterators)
        self._cgroups = Cgroups(self.options.targets.cgroups, programs.iterators, self.globals, self.clock)
        self._files = Map(fd("files"), wire.FILE_KEY, wire.FILE_ENTRY)
        self._requested = Map(fd("requested"), wire.NAME_KEY, U32)
        self._wakeups = Ring(fd("wakeups"), WAKEUPS_SIZE)
        self._is_own_root = own_root(Rules(programs.iterators))
        self.definitions = self._make_definitions()
        cpu_rings = CpuRings(fd("events"), fd("cpu_rings"), programs.cpus, programs.slots)
        self.reader = Reader(cpu_rings, Ring(fd("definitions"), DEFINITIONS_SIZE), self.definitions, self.clock)
        self._sums = AggregateMaps(fd("aggregates"), fd("sums_one"), fd("sums_other")) if self.options.aggregate else None
        self.underway = LazyUnderway(choice, programs, ourselves.tgid)
        self._lister = Lister(self.options, self.definitions, self.reader.new_id, self.underway)

    def _make_definitions(self) -> Definitions:
        fd = self.programs.map_fd
        return Definitions(
            FILE_CACHE * 3 // 4,
            NAME_CACHE * 3 // 4,
            aggregated=OverflowKeys(fd("overflows"), fd("counters"), self.programs.cpus),
            inner_paths=self.options.host_paths,
            is_own_root=self._is_own_root,
            ancestors=Ancestors(ProcessIds(fd("processes"))),
            arguments=self._arguments(),
        )

    def _arguments(self) -> Arguments:
        """Return arguments from /proc. Its numbers are the kernel's only in the initial pid namespace, and its times are
        filetap's."""
        if not self.options.arguments or not is_initial("pid"):
            return no_arguments
        clock = self.clock
        return lambda pid, start: command_line.read(pid, start + clock.boot_offset)

    def _write_rules(self) -> None:
        """Convert paths to identities and names."""
        iterators, filters = self.programs.iterators, self.options.filters
        rules = Rules(iterators)
        rules.write(filters, self._names)
        if filters.paths or filters.exclude:
            self.definitions.home = Home(os.stat("/proc/self/ns/mnt").st_ino, self._is_own_root)
        if self.options.looks_later:
            elsewhere = Elsewhere(self.programs.map_fd("elsewhere"), self.globals, self.clock)
            judge = Judge(iterators, self._names)
            self.later = Later(judge, self.definitions, elsewhere, UnresolvedNameFilter(filters), self._names.basenames)
        self._new_files = NewFileTracker(rules, filters, self._names.watch_paths) if filters.places else None

    def start(self) -> None:
        """Count all events from this moment on. None counted before, while only some programs were attached."""
        self.globals["stopped"][0] = 0

    def stop(self) -> None:
        self.globals["stopped"][0] = 1

    def detach(self) -> None:
        if self._attachment:
            self.stop()
            self._attachment.detach()

    def close(self) -> None:
        self.detach()
        self._attachment = None
        self._resources.close()

    @property
    def fd(self) -> int:
        """Return a descriptor that becomes readable when a CPU ring is a quarter full, until ``woken``."""
        return self._wakeups.fd

    def woken(self) -> None:
        self._wakeups.release(self._wakeups.produced())

    def refresh(self) -> None:
        """Attach what is needed once a target has threads; mark tasks that could not be marked when they moved."""
        if self._attachment:
            self._attachment.refresh()
            mark_members(self.options.targets, self.programs.iterators, self.globals)

    @property
    def live(self) -> int:
        """Return how many target processes, with their descendants, still run."""
        return self.liveness.count()

    def drain(self, final: bool = False) -> Iterator[Batch]:
        """Yield what is there now, as Reader.drain."""
        for batch in self.reader.drain(final):
            if self._new_files:
                self._new_files.note(batch)
            yield batch
        if self._new_files and not final and self._new_files.look():
            self.globals["arrived"][0] += 1
        if not self.options.aggregate:
            self.forget()

    def stages(self) -> list[Stage]:
        """Return them: names of users last, for the tasks that are still there."""
        paths = [HostPaths(self._resources.enter_context(closing(Mounts())))] if self.options.host_paths else []
        return [NameFilter(self.options.filters, self.later), *paths, UserNames(accounts())]

    def take_sums(self) -> tuple[Records, Records]:
        assert self._sums
        return self._sums.take()

    def forget(self) -> None:
        """Keep both halves' tables of files bounded: evict the older half; a file that is used again is defined again."""
        files, names = self.definitions.evict()
        self.forgotten += len(files)
        if len(names):
            self._requested.delete(names)
        if len(files):
            self._files.delete(files)
            self.globals["generation"][0] += 1

    def known(self) -> Batch:
        """Return a batch without events, but with the definitions that overflows refer to."""
        files, tasks = self.definitions.files, self.definitions.tasks
        return Batch(np.zeros(0, wire.EVENT), files, tasks, self.clock.offset(), names=files.made)

    def look(self) -> Records:
        """Return what is pending; nothing if no target is left that could be in a call."""
        return NONE if self.options.targets.ends_by_itself and self.live <= 0 else self._lister.look()

    def look_again(self, before: Records) -> Listing:
        return self._lister.again(before)

    def pending(self, listing: Listing) -> Batch:
        return self._lister.batch(listing, self._attached, self.clock.offset())

    def release(self) -> None:
        self.definitions.drop_temporary()

    def counters(self) -> Records:
        """Return struct counters, one record per CPU; files that user space could not make a rule are added to the first."""
        counters = Map(self.programs.map_fd("counters"), U32, wire.COUNTERS).per_cpu(self.programs.cpus)
        counters["rules_full"][0] += self._new_files.missed if self._new_files else 0
        counters["cgroups_full"][0] += self._cgroups.full
        counters["unresolved"][0] += self.later.missed if self.later else 0
        return counters

    def overflows(self) -> list[Overflow]:
        keys, values = Map(self.programs.map_fd("overflows"), wire.OVERFLOW_KEY, wire.OVERFLOW).items()
        return [
            Overflow(**{n: int(k[n]) for n in ("task", "file", "op", "pid")}, **{n: int(v[n]) for n in ("count", "bytes", "first", "last")})
            for k, v in zip(keys, values, strict=True)
        ]

    def missed(self) -> int:
        return self.programs.missed()

    def processes(self) -> int:
        return self.definitions.processes

    def silence(self, unmatched: int) -> list[str]:
        executed, named, live = (bool(self.globals[name][0] > 0) for name in ("executed", "named", "live"))
        facts = Facts(executed, named, live, bool(self.hooks), unmatched, list(self._cgroups.unused()))
        return reasons(self.options.targets, self.options.filters, facts)

    def cgroup_news(self) -> list[str]:
        """Return lines on target cgroups that were created or removed since the last call."""
        return list(self._cgroups.news())

    def notes(self) -> list[str]:
        notes = [*self.untraced, *self._lister.failures, *self._cgroups.gone(), *kernel_notes(self.counters())]
        if self.forgotten:
            notes.append(f"{self.forgotten} files were dropped from the full file table; if used again, they are counted again")
        if self.later and self.later.removed:
            notes.append(
                f"{self.later.removed} changes by names outside every PATH were not looked up: the names were removed first; "
                "if they were symbolic links, the change may have been on a PATH"
            )
        return notes
