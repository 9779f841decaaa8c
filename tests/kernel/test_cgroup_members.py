"""Which tasks are in a traced cgroup: threads of a process that moves, children, and cgroups below it by the ten thousand.

Separate from test_cgroups.py, where cgroups are created and removed. The oracle is the program that moves, or that says when it made
which call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filetap.kernel.maps import Map
from filetap.selection.targets import Targets, find_cgroup
from tests.kernel.harness import notes
from tests.kernel.test_cgroups import ROOT, Mover, mover, names, opened

__all__ = ["mover"]


THREADS = """
import os, sys, threading
folder, count = sys.argv[1], int(sys.argv[2])
phases, barrier = [], threading.Barrier(count + 1)
def work(number):
    while True:
        barrier.wait()
        os.close(os.open(f"{folder}/{phases[-1]}-{number}", os.O_RDONLY | os.O_CREAT))
        barrier.wait()
for number in range(count):
    threading.Thread(target=work, args=(number,), daemon=True).start()
print("--done--", flush=True)
for line in sys.stdin:
    phases.append(line.strip().partition(";")[0])
    barrier.wait()
    barrier.wait()
    print("--done--", flush=True)
"""


def test_all_threads_of_a_process_that_moves(cgroup: Path, tmp_path: Path) -> None:
    """Those that had made no traced call before, and those started inside; from the move in until the move out."""
    place, outside = cgroup / "service", cgroup / "outside"
    place.mkdir()
    outside.mkdir()
    command = [sys.executable, "-S", "-E", "-c", THREADS, str(tmp_path), "5"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout
        assert stdout.readline() == "--done--\n"

        def phase(name: str) -> None:
            stdin.write(f"{name}\n")
            stdin.flush()
            assert stdout.readline() == "--done--\n"

        with opened(Targets(cgroups=[find_cgroup(str(place))])) as watch:
            phase("before")
            for number in range(3):
                (place / "cgroup.procs").write_text(str(process.pid))
                phase(f"inside-{number}")
                (outside / "cgroup.procs").write_text(str(process.pid))
                phase(f"outside-{number}")
        stdin.close()
    assert sorted(names(watch, tmp_path)) == [f"inside-{number}-{thread}" for number in range(3) for thread in range(5)]


RACE = """
import json, os, sys, threading, time
folder, count = sys.argv[1], int(sys.argv[2])
stop, made = threading.Event(), []
def work(number):
    now, clock, rows, n = time.clock_gettime_ns, time.CLOCK_BOOTTIME, [], 0
    made.append(rows)
    while not stop.is_set():
        began = now(clock)
        try:
            os.open(f"{folder}/{number}-{n}", os.O_RDONLY)
        except OSError:
            rows.append((f"{number}-{n}", began, now(clock)))
        n += 1
        time.sleep(0.0002)
threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.read()
stop.set()
for thread in threads:
    thread.join()
json.dump([row for rows in made for row in rows], sys.stdout)
"""


def within(calls: list[tuple[str, int, int]], windows: list[tuple[int, int]]) -> set[str]:
    """Return the calls that lie in one of the windows, which are in order."""
    begins, ends = (np.array(column) for column in zip(*windows, strict=True))
    at = np.searchsorted(begins, [began for _, began, _ in calls], "right") - 1
    return {name for (name, _, ended), place in zip(calls, at.tolist(), strict=True) if place >= 0 and ended <= ends[place]}


def test_moves_while_all_threads_make_calls(cgroup: Path, tmp_path: Path) -> None:
    """A call that lies between the end of a move in and the begin of the move out is reported; one between these is not."""
    place, outside = cgroup / "service", cgroup / "outside"
    for folder in (place, outside):
        folder.mkdir()
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    windows: list[tuple[bool, int, int]] = []

    def boot() -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    with opened(Targets(cgroups=[find_cgroup(str(place))])) as watch:
        command = [sys.executable, "-S", "-E", "-c", RACE, str(tmp_path), "8"]
        with subprocess.Popen(command, text=True, **pipes) as process:
            assert process.stdin
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            for number in range(60):
                for there in (place, outside):
                    (there / "cgroup.procs").write_text(str(process.pid))
                    began = boot()
                    time.sleep(0.001 * (number % 7))
                    watch.session.run_once(0)
                    windows.append((there is place, began, boot()))
            process.stdin.close()
            calls = json.loads(process.stdout.read())
    seen = set(names(watch, tmp_path))
    inside, out = (within(calls, [window[1:] for window in windows if window[0] is kind]) for kind in (True, False))
    assert len(inside) > 100
    assert len(out) > 100
    assert watch.stats.total.aggregated == watch.stats.total.lost == 0
    assert inside - seen == set()
    assert out & seen == set()
    assert notes(watch.stats) == []


def test_children_of_a_process_that_moves(cgroup: Path, mover: Mover) -> None:
    """A child that was forked inside stays in when its parent leaves; one that was forked before does not come along."""
    place = cgroup / "service"
    place.mkdir()
    for name in ("stays", "elsewhere", "parent"):
        (mover.folder / name).touch()
    with opened(Targets(cgroups=[find_cgroup(str(place))])) as watch:
        mover.do(f"mkfifo {mover.folder}/early {mover.folder}/late; (: <{mover.folder}/early; : <{mover.folder}/elsewhere) &")
        mover.do(f"echo $$ >{place}/cgroup.procs; (: <{mover.folder}/late; : <{mover.folder}/stays) &")
        mover.do(f"echo $$ >{ROOT}; : >{mover.folder}/early; : >{mover.folder}/late; wait; : <{mover.folder}/parent")
    assert [name for name in names(watch, mover.folder) if name not in ("early", "late")] == ["stays"]


CLONE = """
import ctypes, os, struct, sys
fd, path = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY), sys.argv[2]
arguments = struct.pack("<11Q", 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, fd)  # CLONE_INTO_CGROUP, SIGCHLD
pid = ctypes.CDLL(None, use_errno=True).syscall(435, arguments, len(arguments))
if pid == 0:
    os.close(os.open(path, os.O_RDONLY))
    os._exit(0)
os.waitpid(pid, 0)
os.close(os.open(path + "-parent", os.O_RDONLY | os.O_CREAT))
"""


def test_a_child_that_is_born_in_the_cgroup(cgroup: Path, tmp_path: Path) -> None:
    """clone3(2) with CLONE_INTO_CGROUP: it moves before it is seen."""
    place = cgroup / "service"
    place.mkdir()
    (tmp_path / "child").touch()
    with opened(Targets(cgroups=[find_cgroup(str(place))])) as watch:
        subprocess.run([sys.executable, "-S", "-E", "-c", CLONE, str(place), str(tmp_path / "child")], check=True)
    assert names(watch, tmp_path) == ["child"]


def test_ten_thousand_below_it(cgroup: Path, mover: Mover) -> None:
    """Those that exist, those that are made while it is traced, and those deep below; and none is left when they are gone."""
    place = cgroup / "slice"
    for number in range(100):
        for below in range(100):
            (place / f"{number}" / f"{below}").mkdir(parents=True)
    with opened(Targets(cgroups=[find_cgroup(str(place))])) as watch:
        mover.visit(place / "99" / "99", "existing")
        mover.visit(place / "50" / "50" / "new" / "newer", "deep", make=True)
        mover.visit(cgroup / "other" / "99", "outside", make=True)
        table = Map(watch.source.programs.map_fd("cgroup_tree"), np.dtype("<u8"), np.dtype("<u8"))
        assert len(table.items()[0]) == 1 + 100 + 10_000 + 2
        for path, _, _ in os.walk(place, topdown=False):
            os.rmdir(path)
        assert len(table.items()[0]) == 0
    assert names(watch, mover.folder) == ["existing", "deep"]


def test_more_than_fit(cgroup: Path, mover: Mover, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, when tracing begins and while it goes on."""
    monkeypatch.setattr("filetap.capture.programs.TARGET_CGROUPS", 4)
    place = cgroup / "slice"
    for name in "abcd":
        (place / name).mkdir(parents=True)
    with opened(Targets(cgroups=[find_cgroup(str(place))])) as watch:
        mover.visit(place, "itself")
        mover.visit(place / "e", "missed", make=True)
    assert names(watch, mover.folder) == ["itself"]
    (note,) = notes(watch.stats)
    assert note.startswith("2 times a cgroup below a traced one did not fit in the table of traced cgroups")
