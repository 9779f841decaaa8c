"""Long runs: filetap's memory, and the cost of an event after many events and many files.

Separate from user_side.py, because these need minutes, not pairs. One run gives several rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Final

from bench.kernel_side import NONE
from bench.lab import Lab
from bench.table import Row
from bench.workloads import Tracer, tracing

JSON: Final = ("-f", "json", "-o", "/dev/null", "--force")
MEGABYTE: Final = 1 << 20
MOST_RESIDENT: Final = 150
GROWTH: Final = 5
"""MB: the issue requires flat; an allocator's noise is below this."""
DEARER: Final = 1.25
"""The issue requires that no cost grows; the noise of such a ratio is below this."""


@dataclass(frozen=True, slots=True)
class Sample:
    """filetap after one piece of work."""

    seconds: float
    resident: float
    """MB, without the mapped memory of BPF maps."""
    cost: float
    """Microseconds of CPU per event of this piece."""
    events: int


def resident(pid: int) -> float:
    """Return MB of memory besides the rings: the sum of smaps without the BPF maps' own pages."""
    total, counts = 0, True
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            words = line.split()
            if "-" in words[0]:
                counts = words[-1] != "anon_inode:bpf-map"
            elif words[0] == "Rss:" and counts:
                total += int(words[1]) * 1024
    return total / MEGABYTE


def kernel_memory(pid: int) -> float:
    """Return MB of all BPF maps a process holds: charged to its cgroup, resident nowhere."""
    maps: dict[str, int] = {}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        fields = dict(line.split(":\t") for line in info.read_text(encoding="ascii").splitlines() if ":\t" in line)
        if "map_id" in fields and "memlock" in fields:
            maps[fields["map_id"]] = int(fields["memlock"])
    return sum(maps.values()) / MEGABYTE


def pieces(tracer: Tracer, work: Sequence[Sequence[str]], until: Callable[[float, int], bool]) -> list[Sample]:
    """Repeat all of ``work``, and measure filetap after each round."""
    samples: list[Sample] = []
    began = time.monotonic()
    while not samples or not until(samples[-1].seconds, len(samples)):
        before, events = tracer.cpu(), 0
        for words in work:
            events += tracer.run(words).events
        cost = (tracer.cpu() - before) / events * 1e6
        samples.append(Sample(time.monotonic() - began, resident(tracer.pid), cost, events))
    return samples


def at_speed(lab: Lab) -> Iterator[Row]:
    """Run both loops for a minute with -f none."""
    seconds = lab.some(60)
    work = [lab.preads(2_000_000), lab.opens(100)]
    with tracing(*NONE) as tracer:
        samples = pieces(tracer, work, lambda passed, _: passed > seconds)
        maps = kernel_memory(tracer.pid)
        missing = tracer.finish().missing
    events = sum(sample.events for sample in samples)
    note = f"{events:,} events, {missing:,} NOT DELIVERED" if missing else f"{events:,} events, all delivered"
    early = next(sample for sample in samples if sample.seconds > seconds / 4)
    yield Row(
        f"resident memory besides the rings, {seconds} s at full speed", [s.resident for s in samples], MOST_RESIDENT, "MB", note=note
    )
    yield Row(f"its growth from {seconds // 4} s to {seconds} s", [samples[-1].resident - early.resident], GROWTH, "MB")
    yield Row("CPU per event, last third / first third of that run", [cost_growth(samples)], DEARER, note=costs(samples))
    yield Row("for comparison: kernel memory of all our maps, rings included", [maps], unit="MB")


def many_files(lab: Lab) -> Iterator[Row]:
    """Never use the same file twice, as JSON lines to /dev/null, so that the sink's tables are filled as well."""
    each, rounds = 40_000, 15
    with tracing(*JSON) as tracer:
        samples = pieces(tracer, [lab.churns(each)], lambda _, count: count >= rounds)
        missing = tracer.finish().missing
    note = f"{lab.some(each) * rounds:,} files" + (f", {missing:,} EVENTS NOT DELIVERED" if missing else "")
    yield Row("the same, never a file twice, -f json", [s.resident for s in samples], MOST_RESIDENT, "MB", note=note)
    growth = samples[-1].resident - samples[rounds // 2].resident
    yield Row("its growth in the second half", [growth], GROWTH, "MB")
    yield Row("CPU per event, last third / first third of that run", [cost_growth(samples)], DEARER, note=costs(samples))


def cost_growth(samples: Sequence[Sample]) -> float:
    """Return the last third's cost divided by the first's."""
    third = max(1, len(samples) // 3)
    return mean(s.cost for s in samples[-third:]) / mean(s.cost for s in samples[:third])


def costs(samples: Sequence[Sample]) -> str:
    return f"{min(s.cost for s in samples):.3f}-{max(s.cost for s in samples):.3f} us"


MEASURES: Final[dict[str, Callable[[Lab], Iterator[Row]]]] = {"endure-speed": at_speed, "endure-files": many_files}
"""Name for ``-k`` to measure, in the table's order."""
