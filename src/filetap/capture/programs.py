"""Loads the objects of a run, with its configuration and their common maps.

Separate from attachment.py: what is loaded does nothing yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Final

from filetap.capture.choice import Choice
from filetap.capture.options import configuration, ring_slots
from filetap.capture.rules import NameRules
from filetap.core import wire
from filetap.core.wire import Records
from filetap.kernel.libbpf import library
from filetap.kernel.loader import Object
from filetap.kernel.ring import view_globals
from filetap.probes import Plan, aio, iterators, pending, syscalls
from filetap.probes.vfs import Hook

DEFINITIONS_SIZE: Final = 16 << 20
FILE_CACHE: Final = 64 << 10
NAME_CACHE: Final = 32 << 10
PARENTS: Final = 16 << 10
FOLLOWED: Final = 128 << 10
"""Processes that the kernel half knows at a time: those with children that were defined, or all that were forked."""
TARGET_CGROUPS: Final = 64 << 10
"""The cgroups that can be targets, with all below them."""


class Programs:
    """The objects of a Choice. Loaded from construction to ``close``; if that fails, nothing is."""

    def __init__(self, choice: Choice, names: NameRules) -> None:
        """``names``: for the sizes of the tables of names."""
        self._choice, self._names = choice, names
        self._objects: list[Object] = []
        self.cpus = int(library().libbpf_num_possible_cpus())
        self.slots = ring_slots(choice.options.room, self.cpus)
        self.config = configuration(choice.options, names, self.cpus, self.slots)
        self.config["cgroup_states"] = choice.cgroup_states
        self.config["every_call"] = "call_exit" not in choice.syscalls.attached
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        choice = self._choice
        self.process = self.load(choice.process, self.config)
        with ThreadPoolExecutor() as pool:  # the verifier takes a third of a second for all of them
            plans = [choice.syscalls, choice.iterators, *choice.others]
            loaded = list(pool.map(lambda plan: self.load(plan, self.config), plans))
        self.syscalls, self.iterators, *others = loaded
        self.others = list(zip(others, choice.others, strict=True))
        self.globals = view_globals(self.map_fd("globals"))

    def map_fd(self, name: str) -> int:
        """Return the descriptor of a map that all objects share."""
        return self.process.map_fd(name)

    def load(self, plan: Plan, config: Records, also: Mapping[str, Object] = MappingProxyType({})) -> Object:
        """Load one object, configured, with the maps of the first. ``also``: objects whose maps it uses, too."""
        loaded = Object(plan.object, cast=self._choice.cast)
        self._objects.append(loaded)
        loaded.compare_layouts()
        self._configure(loaded, plan, config)
        self._resize(loaded)
        if not self._choice.task_storage:
            loaded.keep_tasks_in_table()
        if plan.object != "process":
            loaded.share(self.process, {"pending": pending.OWN, "iter": iterators.OWN}.get(plan.object, ()))
        for name, other in also.items():
            loaded.share(other, loaded.maps.keys() - pending.TABLES[name])
        for program, (attach_type, function) in plan.attach_targets.items():
            loaded.set_attach_target(program, attach_type, function)
        loaded.load(plan.programs)
        return loaded

    def _configure(self, loaded: Object, plan: Plan, config: Records) -> None:
        chosen, moving = self._choice.options.filters.calls, self._choice.options.moving
        loaded.configure(config, aio.call_table(chosen) if plan.object == "aio" else syscalls.call_table(chosen, moving))

    def _resize(self, loaded: Object) -> None:
        options, names = self._choice.options, self._names
        loaded.resize({"events": self.slots * self.cpus, "cpu_rings": self.cpus, "definitions": DEFINITIONS_SIZE})
        loaded.resize({"files": FILE_CACHE, "requested": NAME_CACHE, "inode_rules": options.filters.rule_space})
        loaded.resize({"path_rules": max(1, len(names.watch_paths)), "basenames": max(1, len(names.basenames))})
        loaded.resize({"rejected": FILE_CACHE, "processes": FOLLOWED if options.ancestors else PARENTS})
        loaded.resize({"cgroup_tree": TARGET_CGROUPS if options.targets.cgroups else 1})
        if options.aggregate:
            loaded.resize({"sums_one": options.sums, "sums_other": options.sums})

    def load_hooks(self, attach_type: str, wanted: Sequence[Hook]) -> Object:
        """Load the object of hooks again for each attach type, which its configuration contains."""
        config = self.config.copy()
        config["attach_type"] = wire.ATTACH_TYPES.index(attach_type)
        return self.load(Plan("vfs", attach_targets={hook.program: (attach_type, hook.target(attach_type)) for hook in wanted}), config)

    def missed(self) -> int:
        """Return how often the kernel skipped one of the programs, so that its event was not seen."""
        return sum(loaded.missed() for loaded in self._objects)

    def close(self) -> None:
        for loaded in reversed(self._objects):
            loaded.close()
        self._objects.clear()
