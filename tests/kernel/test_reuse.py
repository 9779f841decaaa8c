"""Memory and numbers that the kernel uses again: dentries, inodes, parents. Each file keeps its own name.

Separate from test_identity_*.py, where names change on purpose: here the kernel reuses freed memory. The oracle is
/proc/self/fd while the file is open.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, NamedTuple

import pytest

from filetap.selection.targets import Targets
from tests.conformance.unsupported import modules_without_types
from tests.kernel import filesystems
from tests.kernel.harness import Event, Run, Shell, Watch, notes, trace, wanted

Build = Callable[[str], str]
ROUNDS: Final = 40
MODES: Final = "new_files same_name links two_directories new_directories new_trees renamed reclaimed_links".split()
"""Operations of reuse.c."""
MEMORY_CGROUPS: Final = Path("/sys/fs/cgroup/memory")
"""Version 1."""
Reclaim = tuple[list[str], Callable[[], None]]


@pytest.fixture(params=filesystems.NAMES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with filesystems.mounted(request.param, tmp_path) as directory:
        yield directory


@pytest.fixture
def reclaim(pytestconfig: pytest.Config) -> Iterator[Reclaim]:
    """Return how to free unused dentries and inodes: a file, a text to write to it, and a command that the process must run first.
    Natively this frees those of that process's memory cgroup only; a machine of `make vm` frees all."""
    if pytestconfig.getoption("vm"):
        yield ["/proc/sys/vm/drop_caches", "2"], lambda: None
        return
    cgroup = Path(mkdtemp(prefix="filetap-test-", dir=MEMORY_CGROUPS))

    def join() -> None:
        (cgroup / "cgroup.procs").write_text("0")

    yield [f"{cgroup}/memory.force_empty", "0"], join
    cgroup.rmdir()


class Difference(NamedTuple):
    """A read and its event; each as inode, size, path."""

    mode: str
    seen: tuple[str, ...]
    reported: tuple[str, ...]


def seen(run: Run) -> list[tuple[str, ...]]:
    """Return what the program saw, read by read: inode, size, path, mode."""
    assert run.status == 0
    return [tuple(line.split()) for line in run.output.decode().splitlines()]


def differences(run: Run, events: list[Event]) -> list[Difference]:
    """Return the differences between what the program saw and its events."""
    assert [note for note in notes(run.stats) if not (modules_without_types() and "whose structures were not known" in note)] == []
    files = [event.file for event in events if event.file and event.file.resolved]
    reported = [(str(file.inode), str(file.size), file.path.decode()) for file in files]
    rows = seen(run)
    assert len(reported) == len(rows)
    return [Difference(row[-1], row[:3], mine) for mine, row in zip(reported, rows, strict=True) if mine != row[:3]]


def test_each_file_has_its_own_name(program: Build, place: Path, reclaim: Reclaim, record_property: Callable[[str, object], None]) -> None:
    """Whatever freed memory and numbers it reuses. The sizes distinguish files of the same name."""
    words, join = reclaim
    run = trace([program("reuse"), str(ROUNDS), *words, *MODES], wanted("read"), cwd=place, preexec_fn=join)
    found = differences(run, [event for event in run.events if event.path.startswith(os.fsencode(f"{place}/"))])
    if place.name == "overlay" and modules_without_types():
        record_property("cannot", "types of the kernel's modules")
        found = [one for one in found if one.mode != "same_name" or one.seen[::2] != one.reported[::2]]
    assert found == []


def test_a_path_filter_passes_its_own_files(program: Build, place: Path) -> None:
    """One file's names in two directories, in turn; only one of the directories is selected."""
    (place / "d1").mkdir()
    command = [program("reuse"), str(ROUNDS), "-", "-", "two_directories"]
    run = trace(command, wanted("read", paths=[str(place / "d1")]), cwd=place)
    own = [path for _, _, path, _ in seen(run) if path == f"{place}/d1/name"]
    assert len(own) == ROUNDS // 2
    assert [event.path.decode() for event in run.events] == own
    assert run.stats.total.seen == run.stats.total.delivered == len(own)


def test_anonymous_files(program: Build, tmp_path: Path) -> None:
    """They all have the same inode; their names are the only difference."""
    run = trace([program("reuse"), "20", "-", "-", "anonymous"], wanted("close", types=["all"]), cwd=tmp_path)
    own = [event.path.decode() for event in run.events if event.path.startswith(b"anon_inode:")]
    assert own == [row[2] for row in seen(run)]


@pytest.mark.parametrize("chosen", [("open", "read", "close"), ("read",)], ids=["open", "read"])
def test_each_open_has_its_own_number(tmp_path: Path, chosen: tuple[str, ...]) -> None:
    """The memory of an open file is reused for the next one, whether its open is selected or not."""
    file = tmp_path / "file"
    file.write_text("x")
    code = f"import os\nfor _ in range(30): f = os.open({str(file)!r}, 0); os.read(f, 1); os.close(f)"
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted(*chosen))
    numbers = [event.open for event in run.events if event.path == os.fsencode(file)]
    assert len(numbers) == 30 * len(chosen)
    assert numbers == [number for number in numbers[:: len(chosen)] for _ in chosen]
    assert len(set(numbers)) == 30


# Files selected by identity


@pytest.fixture
def overlay(tmp_path: Path) -> Iterator[Path]:
    with filesystems.mounted("overlay on ext4", tmp_path) as directory:
        yield directory


def with_inode(directory: Path, number: int) -> Path:
    """Create files until one has this inode number."""
    for at in range(1000):
        file = directory / f"other{at}"
        file.write_text("x")
        if file.stat().st_ino == number:
            return file
    pytest.fail(f"no new file in {directory} has number {number}")


@pytest.mark.skipif(modules_without_types(), reason="types of modules: without those of overlayfs nothing tells its inodes apart")
@pytest.mark.parametrize(
    "meant",
    [{}, {"follow": True}, {"places": True}, {"places": True, "follow": True}],
    ids=["path", "path-follow", "watch", "watch-follow"],
)
def test_a_new_file_with_the_same_inode_number_is_another(overlay: Path, meant: dict[str, Any]) -> None:
    """On overlayfs, whose inodes have generation 0. With two links it is not confused with a moved file either."""
    (overlay / "in").mkdir()
    (overlay / "out").mkdir()
    file = overlay / "in/file"
    file.write_text("x")
    number = file.stat().st_ino
    with Shell() as shell, Watch(Targets(pids=[shell.pid]), wanted("open", paths=[str(overlay / "in")], **meant)) as watch:
        shell.do(f": <{file}")
        file.unlink()
        other = with_inode(overlay / "out", number)
        os.link(other, overlay / "out/link")
        shell.do(f": <{other}; : <{overlay}/out/link")
    assert [event.path for event in watch.events] == [os.fsencode(file)]
    assert watch.stats.total.seen == 1


def test_a_copied_up_file_stays_the_same(tmp_path: Path) -> None:
    """Its contents move from the lower layer to the upper one, and it is still the given file."""
    for directory in ("lower", "upper", "work", "all"):
        (tmp_path / directory).mkdir()
    for name in ("file", "same"):
        (tmp_path / "lower" / name).write_text("x")
    layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, tmp_path / "all"], check=True)
    try:
        file = tmp_path / "all/file"
        with Shell() as shell, Watch(Targets(pids=[shell.pid]), wanted("open", paths=[str(file)])) as watch:
            shell.do(f": <{file}; : <{tmp_path}/all/same; echo more >>{file}; : <{file}; mv {file} {file}2; : <{file}2")
    finally:
        subprocess.run(["umount", tmp_path / "all"], check=True)
    assert (tmp_path / "upper/file2").read_text() == "xmore\n"
    assert [event.path for event in watch.events] == [os.fsencode(file)] * 3 + [os.fsencode(f"{file}2")]


# Objects of a task


def test_the_cgroup_is_the_current_one(cgroup: Path, tmp_path: Path) -> None:
    """Moved twice between two events: the kernel's memory of the first cgroup is freed and reused for the third."""
    (tmp_path / "file").write_text("x")
    inodes = []
    with Shell() as shell, Watch(Targets(pids=[shell.pid]), wanted("open", paths=[str(tmp_path)])) as watch:
        for at in range(20):
            between, last = cgroup / f"between{at}", cgroup / f"last{at}"
            for directory in (between, last):
                directory.mkdir()
                (directory / "cgroup.procs").write_text(str(shell.pid))
            inodes.append(last.stat().st_ino)
            shell.do(f": <{tmp_path}/file")
    assert [event.task.cgroup for event in watch.events] == inodes


def test_the_user_namespace_is_the_current_one(tmp_path: Path) -> None:
    """unshare(2) of it alone changes neither ids nor other namespaces."""
    file = tmp_path / "file"
    file.write_text("x")
    look = f"open({str(file)!r}).close(); print(os.stat('/proc/self/ns/user').st_ino)"
    code = f"import ctypes, os; CLONE_NEWUSER = 0x10000000\n{look}\nctypes.CDLL(None).unshare(CLONE_NEWUSER)\n{look}"
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted("open", paths=[str(file)]))
    numbers = [int(line) for line in run.output.split()]
    assert run.status == 0
    assert len(set(numbers)) == 2
    assert [event.task.user_namespace for event in run.events] == numbers
