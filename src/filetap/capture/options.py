"""The options of a run, and what the kernel half is given of them: struct config of bpf/event.h.

Separate from programs.py, which loads: options are plain data that the command line, an agent and tests make.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from filetap.capture.later import changes_later
from filetap.capture.rules import NameRules
from filetap.core import wire
from filetap.core.calls import CALL_NUMBER
from filetap.core.errors import UsageError
from filetap.core.wire import Records
from filetap.probes import vfs
from filetap.selection.filters import Filters
from filetap.selection.targets import Targets

RING_SIZE: Final = 128 << 20
SMALLEST_CPU_RING: Final = 64
SUMS: Final = 64 << 10
RING_WITH_SUMS: Final = 4 << 20
FAULTS: Final = ("page_fault_user", "page_fault_kernel")


@dataclass(slots=True)
class Options:
    """The options of one run."""

    targets: Targets
    filters: Filters = field(default_factory=Filters)
    latency: bool = True
    arguments: bool = False
    """Record commands' arguments."""
    ancestors: bool = False
    """Follow the forks of all processes, so that parents are known that ended before their children were first seen."""
    ring_size: int = RING_SIZE
    """Bytes of events, over all CPUs."""
    host_paths: bool = False
    """Report paths in filetap's own mount namespace too."""
    level: str = "auto"
    """Which hooks make events: one of wire.LEVELS."""
    best_effort: bool = False
    """Continue without hook sets that do not attach."""
    aggregate: bool = False
    """Events are summed up in the kernel instead of emitted."""
    sums: int = SUMS
    """The number of sums that fit in the map until they are taken."""

    @property
    def moving(self) -> frozenset[str]:
        """Operations that change the meaning of names, or whether files match, in addition to those that always do."""
        return frozenset(["link"] * self.filters.links + ["symlink"] * self.looks_later)

    @property
    def looks_later(self) -> bool:
        """Return whether changes by names whose text leads to no PATH are looked up after their call."""
        return bool(self.filters.paths) and not self.filters.failed and changes_later(self.filters.calls)

    @property
    def timed(self) -> bool:
        """Return whether calls are traced at their start too."""
        return self.latency or bool(self.filters.min_latency)

    @property
    def ancestry(self) -> int:
        """Return which processes are described besides targets. Sums show none."""
        if self.aggregate:
            return wire.ANCESTRY_NONE
        if self.ancestors:
            return wire.ANCESTRY_FORKS
        return wire.ANCESTRY_AT_FORK if self.arguments else wire.ANCESTRY_PRESENT

    @property
    def room(self) -> int:
        """Return the bytes of the rings. With sums, few events go through them."""
        return min(self.ring_size, RING_WITH_SUMS) if self.aggregate else self.ring_size


def ring_slots(ring_size: int, cpus: int) -> int:
    """Slots of each CPU's ring: the largest power of two that fits ``ring_size`` bytes over all CPUs."""
    slots = ring_size // wire.EVENT.itemsize // cpus
    if slots < SMALLEST_CPU_RING:
        least = SMALLEST_CPU_RING * cpus * wire.EVENT.itemsize
        raise UsageError(f"--ring-size {ring_size}: at least {least} bytes with {cpus} CPUs")
    if ring_size > 1 << 32:
        raise UsageError(f"--ring-size {ring_size}: at most 4G")
    return 1 << slots.bit_length() - 1


def configuration(options: Options, names: NameRules, cpus: int, slots: int) -> Records:
    """struct config of bpf/event.h, one record."""
    targets, filters = options.targets, options.filters
    config = np.zeros(1, wire.CONFIG)
    row = config[0]
    row["slots"], row["ncpu"] = slots, cpus
    row["all"], row["follow"] = targets.all, targets.follow
    row["cgroups"], row["comms"] = len(targets.cgroups), len(targets.comms)
    row["command_in_cgroup"] = bool(targets.cgroups and targets.comms)
    for i, comm in enumerate(targets.comms):
        row["comm"][i] = comm
    row["types"], row["failed"], row["min_latency"] = filters.type_mask(), filters.failed, filters.min_latency
    row["paths"] = bool(filters.paths) | bool(filters.exclude) << 1
    row["path_rule_depth"], row["track_hardlinks"] = names.longest, filters.places and not filters.follow
    row["lengths"], row["basenames"] = names.lengths, names.basename_bits
    row["aggregate"] = max(1, options.sums // 4 // cpus) if options.aggregate else 0
    row["latency"], row["args"], row["ancestry"] = options.timed, options.arguments, options.ancestry
    row["exit_call"] = CALL_NUMBER["exit"] if CALL_NUMBER["exit"] in filters.calls else 0
    row["fault_calls"] = [number if number in filters.calls else 0 for number in map(CALL_NUMBER.__getitem__, FAULTS)]
    row["follow_renames"], row["fs_path"] = filters.follow, options.host_paths
    row["later"] = options.looks_later
    row["level"], row["hooks"] = wire.LEVELS.index(options.level), vfs.choices(filters.calls)
    return config
