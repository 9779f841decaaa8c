"""Ten minutes of names that come and go on overlayfs, as in a container: is every path the one that the program saw?

Separate from endurance.py, because this is about correct names, not about cost. Eight tasks create, link, rename and remove at
random, and memory is reclaimed meanwhile; each read is compared with /proc/self/fd right before and after it.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Final

import filetap
from bench.lab import SOAK, BenchError, Lab
from bench.table import Row
from bench.workloads import FILETAP

TASKS: Final = 8
SECONDS: Final = 600
MEMORY_CGROUPS: Final = Path("/sys/fs/cgroup/memory")
"""Version 1: memory.force_empty frees everything that the cgroup does not use."""
READS: Final = "SELECT pid, path FROM events WHERE op = 'read' ORDER BY pid, ts_ns"


@contextmanager
def overlay(folder: Path) -> Iterator[Path]:
    for name in ("lower", "upper", "work", "all"):
        (folder / name).mkdir()
    layers = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, folder / "all"], check=True)
    try:
        yield folder / "all"
    finally:
        subprocess.run(["umount", folder / "all"], check=True)


@contextmanager
def memory_cgroup() -> Iterator[Path | None]:
    """Yield a memory cgroup. None: this machine has none whose memory can be reclaimed separately."""
    if not (MEMORY_CGROUPS / "memory.force_empty").exists():
        yield None
        return
    cgroup = Path(mkdtemp(prefix="filetap-soak-", dir=MEMORY_CGROUPS))
    yield cgroup
    cgroup.rmdir()


def join(cgroup: Path | None) -> None:
    if cgroup:
        (cgroup / "cgroup.procs").write_text("0")


def compare(recording: Path, log: Path) -> tuple[int, int, int]:
    """Return reads compared, reads whose file was renamed or removed meanwhile, and reads with another path than the program
    saw."""
    compared = moved = wrong = 0
    rows = filetap.open(str(recording)).query(READS).to_pydict()
    reported: dict[int, list[str]] = {}
    for pid, path in zip(rows["pid"], rows["path"], strict=True):
        reported.setdefault(pid, []).append(path)
    for pid, paths in reported.items():
        seen = log.with_name(f"{log.name}.{pid}").read_text().splitlines()
        if len(seen) != len(paths):
            raise BenchError(f"task {pid} has read {len(seen)} times, and {len(paths)} events are recorded")
        moved += seen.count("?")
        compared += len(seen) - seen.count("?")
        wrong += sum(truth not in ("?", path) for truth, path in zip((s.removesuffix(" (deleted)") for s in seen), paths, strict=True))
    return compared, moved, wrong


def names(lab: Lab) -> Iterator[Row]:
    with TemporaryDirectory(prefix="soak-", dir="/var/tmp") as name, memory_cgroup() as cgroup, overlay(Path(name)) as tree:
        log, recording, seed = Path(name) / "log", Path(name) / "soak.tap", int(time.time())
        work = [SOAK, tree, log, str(TASKS), str(lab.some(SECONDS)), str(seed), *([cgroup / "memory.force_empty"] if cgroup else [])]
        trace = [*FILETAP, "trace", "-e", "pread64", "-o", recording, tree, "--", *work]
        subprocess.run(list(map(str, trace)), check=True, stderr=subprocess.DEVNULL, preexec_fn=partial(join, cgroup))
        compared, moved, wrong = compare(recording, log)
    note = f"{compared:,} reads compared, {moved:,} renamed or removed at that moment, seed {seed}" + (
        "" if cgroup else ", NOTHING RECLAIMED"
    )
    yield Row(f"paths that are not what /proc/self/fd says, {lab.some(SECONDS)} s of {TASKS} tasks on overlayfs", [wrong], 0, note=note)


MEASURES: Final[dict[str, Callable[[Lab], Iterator[Row]]]] = {"soak-names": names}
"""Name for ``-k`` to measure."""
