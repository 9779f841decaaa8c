"""Cgroups that are created, removed and created again while they are traced: by path they are followed, by id their end is reported.

Separate from test_targets.py, where cgroups stay. The oracle is a shell that moves itself: files that it touches inside
must be reported, also right after a mkdir(2), and files that it touches outside must not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from filetap.core.errors import UsageError
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
