"""BPF programs other than filetap's: the floor and the empty ones; and run times of programs in the kernel.

Separate, because here bench itself loads and attaches. Run times are read from the descriptors of the process that holds the
programs, so that no other programs are counted.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.lab import BUILD, BenchError
from bench.workloads import Outcome, started
from filetap.kernel.loader import Object
from filetap.kernel.ring import Ring

RING: Final = 64 << 20
RECORD: Final = 72
"""Bytes of a floor record with its header."""


@contextmanager
def counted() -> Iterator[None]:
    """Count run times in the block: kernel.bpf_stats_enabled, through a descriptor, so that it never stays enabled."""
    function = ctypes.CDLL("libbpf.so.1").bpf_enable_stats
    fd = function(0)  # BPF_STATS_RUN_TIME
    if fd < 0:
        raise BenchError(f"the kernel does not count run times: {os.strerror(-fd)}")
    try:
        yield
    finally:
        os.close(fd)


def run_time(pid: int) -> int:
    """Return the nanoseconds that the programs held by a process have run so far."""
    programs: dict[str, int] = {}
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):
            fields = dict(line.split(":\t") for line in info.read_text(encoding="ascii").splitlines() if ":\t" in line)
            if "run_time_ns" in fields:
                programs[fields["prog_id"]] = int(fields["run_time_ns"])
    return sum(programs.values())


@contextmanager
def attached(
    name: str, programs: Sequence[str], target: int = 0, prepare: Callable[[Object], None] = lambda loaded: None
) -> Iterator[Object]:
    """Load build/NAME.bpf.o with these programs attached; ``prepare`` is called before it is loaded."""
    loaded = Object(str(BUILD / name))
    links = []
    try:
        if target:
            loaded.set_constant(".rodata.target", np.array([target], "<u4"))
        prepare(loaded)
        loaded.load(set(programs))
        links = [loaded.attach(program) for program in programs]
        yield loaded
    finally:
        for link in links:
            link.close()
        loaded.close()


@dataclass(frozen=True, slots=True)
class FloorRun:
    """A workload under the floor."""

    outcome: Outcome
    events: int
    run_time: int


def under_floor(words: Sequence[str]) -> FloorRun:
    """Run the workload, held until the floor is attached to it. Its records are read and dropped as filetap's reader would."""
    held, go = os.pipe()
    try:
        environment = os.environ | {"FILETAP_GO": str(held)}
        with (
            started(words, env=environment, pass_fds=(held,)) as process,
            attached("floor", ["floor_exit"], process.pid) as floor,
        ):
            ring = Ring(floor.map_fd("events"), RING)
            os.write(go, b"g")
            events = _drain_while(process, ring)
            return FloorRun(Outcome.of(process.communicate()[0]), events, run_time(os.getpid()))
    finally:
        os.close(held)
        os.close(go)


def _drain_while(process: subprocess.Popen[str], ring: Ring) -> int:
    events, running = 0, True
    while running:
        running = process.poll() is None
        time.sleep(0.01)
        produced = ring.produced()
        events += (produced - ring.position) // RECORD
        ring.release(produced)
    return events
