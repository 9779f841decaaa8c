"""However a run ends, nothing of it stays in the kernel.

Separate, as the oracle is the kernel's list of all programs and maps. This is the last file of tests/kernel.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from filetap.capture.kernel_source import KernelSource
from filetap.capture.options import Options
from filetap.capture.outlet import Outlet
from filetap.capture.session import Session
from filetap.core.errors import FiletapError
from filetap.selection.targets import Targets
from tests.kernel.harness import Collector, Shell, Watch, wanted
from tests.loaded import held, ids
from tests.timeouts import scaled, wait_for

KINDS = ("prog", "map", "link")


def kept(pid: int) -> set[tuple[str, int]]:
    """Return programs, maps and links that ``pid`` holds, by its descriptors."""
    return {(kind, number) for kind in KINDS for number in held(kind, [pid])}


def gone(mine: set[tuple[str, int]]) -> bool:
    return not any((kind, number) in mine for kind in KINDS for number in ids(kind))


@pytest.fixture
def tracer(filetap: tuple[str, ...], tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], set[tuple[str, int]]]]:
    """Start the command; yield it while it traces, and what it keeps in the kernel. What it only probes is released by then."""
    out = tmp_path / "out"
    with Shell() as shell:
        command = [*filetap, "trace", "-f", "json", "-o", str(out), "-p", str(shell.pid)]
        running = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            wait_for(lambda: shell.do(f": <{__file__}") or (out.exists() and out.stat().st_size))
            yield running, kept(running.pid)
        finally:
            running.kill()
            running.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_nothing_is_left(tracer: tuple[subprocess.Popen[bytes], set[tuple[str, int]]], number: signal.Signals) -> None:
    running, mine = tracer
    assert {kind for kind, _ in mine} == set(KINDS)
    assert not gone(mine)
    running.send_signal(number)
    running.communicate(timeout=scaled(10))
    assert running.returncode == (0 if number in (signal.SIGINT, signal.SIGTERM) else -number)
    wait_for(lambda: gone(mine))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("later", [0, 0.05, 0.2])
def test_killed_at_any_moment_of_the_start(filetap: tuple[str, ...], kind: str, later: float) -> None:
    """The kernel keeps nothing, and a command that is still held does not wait for ever."""
    running = subprocess.Popen([*filetap, "trace", "-f", "none", "--", "sleep", "1"], stderr=subprocess.DEVNULL)
    mine: set[tuple[str, int]] = set()

    def reached() -> bool:
        mine.update(kept(running.pid))
        return kind in {one for one, _ in mine}

    wait_for(reached)
    time.sleep(scaled(later))
    mine |= kept(running.pid)
    held = children(running.pid)
    running.kill()
    running.wait()
    wait_for(partial(gone, mine))
    wait_for(partial(ended, held))


def ended(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}/exe").exists() for pid in pids)


def test_nothing_is_left_by_the_library(tmp_path: Path) -> None:
    with Shell() as shell:
        with Watch(Targets(pids=[shell.pid]), wanted("all")) as watch:
            mine = kept(os.getpid())
            assert {kind for kind, _ in mine} == set(KINDS)
            shell.do(f"cat {tmp_path}/none")
        assert watch.events
    wait_for(lambda: gone({(kind, number) for kind, number in mine if kind != "map"}))
    del watch  # arrays that were read from the maps are still used until here
    gc.collect()
    wait_for(lambda: gone(mine))


@pytest.mark.parametrize("events", [("open",), ("read",), ("all",)])
def test_descriptors_are_given_back(events: tuple[str, ...]) -> None:
    """Three runs in one process leave no descriptor and no mapping of a map."""

    def run() -> tuple[int, int]:
        with Shell() as shell, Watch(Targets(pids=[shell.pid]), wanted(*events)):
            pass
        gc.collect()
        return len(os.listdir("/proc/self/fd")), Path("/proc/self/maps").read_text().count("bpf-map")

    run()
    assert run() == run()


def test_nothing_is_left_by_a_start_that_fails() -> None:
    """A pid that has ended meanwhile."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    before = len(os.listdir("/proc/self/fd"))
    held = kept(os.getpid())
    with pytest.raises(FiletapError):
        Session(KernelSource(Options(Targets(pids=[ended.pid]))), [Outlet(Collector())])
    assert len(os.listdir("/proc/self/fd")) == before
    wait_for(lambda: kept(os.getpid()) <= held)
