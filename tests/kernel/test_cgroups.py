"""Cgroups that are created, removed and created again while they are traced: by path they are followed, by id their end is reported.

Separate from test_targets.py, where cgroups stay. The oracle is a shell that moves itself: files that it touches inside
must be reported, also right after a mkdir(2), and files that it touches outside must not.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filetap.core.errors import UsageError
from filetap.kernel.maps import Map
from filetap.selection.targets import Cgroup, Targets, cgroup_root, find_cgroup, find_comm
from tests.kernel.harness import Shell, Watch, notes, wanted
from tests.kernel.test_namespaces import Container, touched
from tests.timeouts import wait_for

ROOT = cgroup_root() / "cgroup.procs"


class Mover(Shell):
    """A shell that enters cgroups, touches a file there, and leaves."""

    def __init__(self, folder: Path, *command: str) -> None:
        super().__init__(*command)
        self.folder = folder

    def visit(self, cgroup: Path, name: str, *, make: bool = False, remove: bool = False) -> None:
        """Enter, touch and leave in one script."""
        (self.folder / name).touch()
        steps = [f"mkdir -p {cgroup}"] * make
        steps += [f"echo $$ >{cgroup}/cgroup.procs", f": <{self.folder / name}", f"echo $$ >{ROOT}", f": <{self.folder}/outside"]
        steps += [f"while ! rmdir {cgroup}; do sleep 0.01; done"] * remove
        assert self.do("; ".join(steps)) == []


@pytest.fixture
def mover(tmp_path: Path) -> Iterator[Mover]:
    (tmp_path / "outside").touch()
    with Mover(tmp_path) as shell:
        yield shell


def names(watch: Watch, folder: Path) -> list[str]:
    """Return the names of the files below ``folder`` that were opened, in order."""
    return [event.path[len(bytes(folder)) + 1 :].decode() for event in watch.events if event.path.startswith(bytes(folder) + b"/")]


def opened(targets: Targets) -> Watch:
    return Watch(targets, wanted("open"))


def test_cgroup_is_created_again(cgroup: Path, mover: Mover) -> None:
    """Repeatedly: the first access after each mkdir is reported."""
    place = cgroup / "service"
    place.mkdir()
    with opened(Targets(cgroups=[find_cgroup(str(place))])) as watch:
        for number in range(20):
            mover.visit(place, f"inside-{number}", make=True, remove=True)
        place.mkdir()
    assert names(watch, mover.folder) == [f"inside-{number}" for number in range(20)]
    assert {event.task.cgroup_path for event in watch.events} == {b"/" + bytes(place.relative_to(cgroup_root()))}
    assert len({event.task.cgroup for event in watch.events}) == 20
    assert notes(watch.stats) == []


def test_parents_are_created_again(cgroup: Path, mover: Mover) -> None:
    """The subtree of the new cgroup counts too."""
    place = cgroup / "a.slice" / "b.slice" / "c.service"
    place.mkdir(parents=True)
    with opened(Targets(cgroups=[find_cgroup(str(place))])) as watch:
        mover.visit(place, "before", remove=True)
        place.parent.rmdir()
        place.parent.parent.rmdir()
        mover.visit(place.parent.parent, "parent", make=True)
        mover.visit(place / "deep" / "deeper", "after", make=True)
        mover.visit(place, "itself")
    assert names(watch, mover.folder) == ["before", "after", "itself"]


def test_other_cgroups_do_not_match(cgroup: Path, mover: Mover) -> None:
    """Same name elsewhere, a longer or shorter name in its place, a cgroup above it, and one below another."""
    place = cgroup / "a" / "service"
    place.mkdir(parents=True)
    others = [cgroup / "b" / "service", cgroup / "service", cgroup / "a" / "service2", cgroup / "a" / "servic", cgroup / "a"]
    others += [cgroup / "b" / "a" / "service", cgroup / "a" / "SERVICE", cgroup / "a" / "x" / "service"]
    with opened(Targets(cgroups=[find_cgroup(str(place))])) as watch:
        place.rmdir()
        for other in others:
            mover.visit(other, "elsewhere", make=True)
        mover.visit(place, "inside", make=True)
    assert names(watch, mover.folder) == ["inside"]


def test_names_of_any_bytes(cgroup: Path, mover: Mover) -> None:
    place = Path(os.fsdecode(bytes(cgroup) + b"/\xff\t\\x20" + b"n" * 200))
    place.mkdir()
    (mover.folder / "inside").touch()
    with opened(Targets(cgroups=[find_cgroup(str(place))])) as watch:
        place.rmdir()
        place.mkdir()
        (place / "cgroup.procs").write_text(str(mover.pid))
        mover.do(f": <{mover.folder}/inside; echo $$ >{ROOT}")
    place.rmdir()
    assert names(watch, mover.folder) == ["inside"]


@pytest.fixture
def hierarchy(tmp_path: Path) -> Iterator[Path]:
    """Mount a hierarchy of cgroup v1, without controllers."""
    point = tmp_path / "v1"
    point.mkdir()
    subprocess.run(["mount", "-t", "cgroup", "-o", "none,name=filetap-test", "none", point], check=True)
    yield point
    subprocess.run(["umount", point], check=True)


def test_the_same_path_in_another_hierarchy(cgroup: Path, mover: Mover, hierarchy: Path) -> None:
    """A path in a cgroup v1 hierarchy neither replaces the traced cgroup nor ends it."""
    other = hierarchy / cgroup.relative_to(cgroup_root())
    with opened(Targets(cgroups=[find_cgroup(str(cgroup))])) as watch:
        other.mkdir()
        mover.visit(cgroup, "inside")
        other.rmdir()
        mover.visit(cgroup, "inside")
    assert names(watch, mover.folder) == ["inside", "inside"]
    assert notes(watch.stats) == []


def moment(note: str) -> datetime:
    found = re.search(r"\d{4}-\d\d-\d\dT[\d:.]+Z", note)
    assert found, note
    return datetime.fromisoformat(found[0])


def test_cgroup_is_missing_at_the_end(cgroup: Path, mover: Mover) -> None:
    """A note says since when: it is not an error, and the run goes on."""
    place = cgroup / "service"
    place.mkdir()
    with opened(Targets(cgroups=[find_cgroup(str(place)), find_cgroup(str(cgroup / ".." / cgroup.name))])) as watch:
        mover.visit(place, "inside")
        began = datetime.now(UTC)
        place.rmdir()
        ended = datetime.now(UTC)
        mover.visit(cgroup, "above")
    assert names(watch, mover.folder) == ["inside", "above"]
    (note,) = notes(watch.stats)
    assert f"cgroup /{place.relative_to(cgroup_root())} " in note
    assert began <= moment(note) <= ended


def test_cgroup_by_id_does_not_come_back(cgroup: Path, mover: Mover) -> None:
    """A new cgroup of the same path is another cgroup."""
    place = cgroup / "service"
    place.mkdir()
    number = place.stat().st_ino
    with opened(Targets(cgroups=[find_cgroup(str(number))])) as watch:
        mover.visit(place, "inside", remove=True)
        mover.visit(place, "another", make=True)
    assert names(watch, mover.folder) == ["inside"]
    (note,) = notes(watch.stats)
    assert f"cgroup {number} " in note
    assert "give its path" in note


def test_with_a_command_by_name(cgroup: Path, mover: Mover, tmp_path: Path) -> None:
    """Both conditions must hold, also in the new cgroup."""
    place, namesake = cgroup / "service", tmp_path / "namesake"
    place.mkdir()
    shutil.copy("/bin/sh", namesake)
    both = Targets(cgroups=[find_cgroup(str(place))], comms=[find_comm("namesake")])
    with Mover(tmp_path, str(namesake)) as named, opened(both) as watch:
        for number in range(2):
            place.rmdir()
            named.visit(place, f"both-{number}", make=True)
            mover.visit(place, "cgroup-alone")
    assert names(watch, tmp_path) == ["both-0", "both-1"]


def test_eight_of_them(cgroup: Path, mover: Mover) -> None:
    places = [cgroup / f"service-{number}" for number in range(8)]
    for place in places:
        place.mkdir()
    with opened(Targets(cgroups=[find_cgroup(str(place)) for place in places])) as watch:
        for place in reversed(places):
            place.rmdir()
            mover.visit(place, place.name, make=True)
    assert names(watch, mover.folder) == [place.name for place in reversed(places)]


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


CHURN = """
n=0
while [ ! -e {folder}/stop ]; do
    n=$((n+1)); rmdir {place}; mkdir {place}; echo $$ >{place}/cgroup.procs; : >{folder}/inside-$n; echo $$ >{root}; echo $n >{folder}/done
done 2>/dev/null
"""


@pytest.mark.parametrize("attempt", range(5))
def test_cgroup_changes_while_tracing_begins(cgroup: Path, tmp_path: Path, attempt: int) -> None:
    """Whatever existed when the cgroup was looked up: all events from the beginning on are reported."""
    place, numbers = cgroup / "service", tmp_path / "done"
    place.mkdir()

    def now() -> int:
        while not (text := numbers.read_text()):  # it is being written
            pass
        return int(text)

    with Shell() as shell:
        script = CHURN.format(folder=tmp_path, place=place, root=ROOT)
        churn = threading.Thread(target=shell.do, args=(script,))
        churn.start()
        wait_for(numbers.exists)
        try:
            with opened(Targets(cgroups=[find_there(place)])) as watch:
                first = now() + 2
                wait_for(lambda: now() >= first + 50)
                last = now()
        finally:
            (tmp_path / "stop").touch()
            churn.join()
    seen = {int(name.rpartition("-")[2]) for name in names(watch, tmp_path) if name.startswith("inside-")}
    assert set(range(first, last + 1)) <= seen


def find_there(place: Path) -> Cgroup:
    """Find the cgroup, which does not exist all the time."""
    while True:
        with suppress(UsageError, FileNotFoundError):
            return find_cgroup(str(place))


INSIDE = {
    "namespace": (
        ("--mount", "/bin/sh", "-c", 'echo $$ >{cgroup}/cgroup.procs; exec unshare --cgroup "$0"'),
        "umount -l {root}; mount -t cgroup2 none {point}",
    ),
    "bind mount": (("--mount",), "mount --bind {cgroup} {point}; umount -l {root}"),
}


@pytest.mark.parametrize("by", INSIDE)
def test_below_a_root_that_is_not_the_hierarchys(cgroup: Path, tmp_path: Path, filetap: tuple[str, ...], mover: Mover, by: str) -> None:
    """As in a container: the depth below the hierarchy's own root counts."""
    unshare, mount = INSIDE[by]
    service, point, run = cgroup / "service", tmp_path / "mnt", tmp_path / "run"
    for folder in (service, point, run):
        folder.mkdir()

    def act() -> None:
        mover.visit(service, "inside", remove=True)
        mover.visit(cgroup, "above")
        mover.visit(service, "again", make=True)

    with Container(filetap, run, *(word.format(cgroup=cgroup) for word in unshare)) as inside:
        inside.do(mount.format(cgroup=cgroup, root=cgroup_root(), point=point))
        events = inside.during("trace -e open OUT --cgroup /service", act)
    assert [len(touched(events, tmp_path / name)) for name in ("inside", "above", "again", "outside")] == [1, 0, 1, 0]
    assert {event["cgroup"]["path"] for event in events} == {f"/{service.relative_to(cgroup_root())}"}
