"""Changes by names that lead to a watched path through symbolic links, bind mounts or other roots, without a hook that reports it.

Separate from test_watch_names.py, where the kernel or the text of a name is enough: here user space looks the name up
after the call. The oracle is what the workload did, with os.path.realpath and os.stat.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.selection.targets import Targets
from tests.conformance.unsupported import no_request_in_completions, no_ring_operation
from tests.kernel.harness import Event, Shell, Watch, notes, wanted
from tests.timeouts import wait_for

OPS: Final = ("setattr", "truncate", "setxattr", "removexattr", "link", "rename", "unlink", "rmdir", "mkdir", "mknod", "symlink")
GONE: Final = "could not be looked up after their call"
IORING_OP_RENAMEAT: Final = 35
REMOVED: Final = "the names were removed first"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("in/one", "in/two", "in/sub/three", "out/one", "out/five"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "to").symlink_to(tmp_path / "in")
    (tmp_path / "mounted").mkdir()
    return tmp_path


@pytest.fixture
def private() -> Iterator[Shell]:
    """Start a shell in a mount namespace of its own."""
    with Shell("unshare", "-m", "--propagation", "private", "/bin/sh") as shell:
        yield shell


@contextmanager
def watching(place: Path, *paths: str, targets: Targets | None = None, latency: bool = True, **filters: Any) -> Iterator[Watch]:
    """Watch as ``filetap watch --latency`` does. Without it only the end of a call is known, and on a busy machine that may be long after
    its change."""
    chosen = wanted(*OPS, types=["directory", "symlink"], paths=[str(place / path) for path in paths], **({"places": True} | filters))
    with Watch(targets or Targets(all=True), chosen, latency=latency) as watch:
        yield watch


def operations(events: Sequence[Event], place: Path) -> list[tuple[str, ...]]:
    """Return call and names, relative to the tree."""
    names = [(event.path, event.target_path) for event in events]
    return [
        (event.call, *(name.decode().removeprefix(f"{place}/") for name in both if name)) for event, both in zip(events, names, strict=True)
    ]


def python(code: str) -> str:
    return f"/usr/bin/python3 -I -S -c 'import os\n{code}'"


@contextmanager
def staying(shell: Shell, place: Path, code: str) -> Iterator[None]:
    """Run Python code in a process that stays, after it has made the file "done": names are looked up from the root of the process,
    which has otherwise ended by then on a busy machine."""
    script = python(f'{code}open("{place}/done", "w")\nimport time\ntime.sleep(600)')
    shell.do(f"{script} >{place}/output 2>&1 & echo $! >{place}/pid")
    try:
        yield
    finally:
        os.kill(int((place / "pid").read_text()), signal.SIGKILL)


CHANGES: Final = """
os.chmod("X/one", 0o600); os.chown("X/one", 0, 0); os.utime("X/one"); os.truncate("X/one", 1); os.setxattr("X/one", "user.a", b"1")
os.removexattr("X/one", "user.a"); os.link("X/one", "X/new"); os.rename("X/new", "X/newer"); os.unlink("X/newer"); os.mkdir("X/d")
os.rmdir("X/d"); os.mknod("X/node"); os.symlink("/none", "X/soft"); os.chmod("X/sub/three", 0o600); os.rename("O/one", "X/moved")
os.chmod("out/five", 0o600); os.unlink("out/five"); os.mkdir("out/d"); os.rmdir("out/d")
"""
EXPECTED: Final = [
    *((call, "X/one") for call in ("chmod", "chown", "utimensat", "truncate", "setxattr", "removexattr")),
    ("link", "X/one", "X/new"),
    ("rename", "X/new", "X/newer"),
    ("unlink", "X/newer"),
    ("mkdir", "X/d"),
    ("rmdir", "X/d"),
    ("mknodat", "X/node"),
    ("symlink", "/none", "X/soft"),
    ("chmod", "X/sub/three"),
    ("rename", "O/one", "X/moved"),
]


def test_without_latency_each_change_is_reported_or_counted(place: Path, private: Shell) -> None:
    """Of one process: other tests may make changes at the same time, and their directories go."""
    with watching(place, "in", targets=Targets(pids=[private.pid]), recursive=True, latency=False) as watch:
        later = watch.source.later
        assert later
        with staying(private, place, CHANGES.replace("X", f"{place}/to").replace("O/", "out/").replace('"out/', f'"{place}/out/')):
            wait_for(lambda: (watch.session.run_once(), (place / "done").exists() and len(watch.events) + later.missed >= len(EXPECTED))[1])
    expected = Counter(tuple(word.replace("X", "in").replace("O", "out") for word in row) for row in EXPECTED)
    assert Counter(operations(watch.events, place)) <= expected
    assert len(watch.events) + later.missed == len(EXPECTED)
    assert sum(int(note.split()[0]) for note in watch.stats.notes if GONE in note) == later.missed


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("way", ["to", "mounted", "in"])
def test_each_change_is_reported(place: Path, private: Shell, way: str, absolute: bool) -> None:
    """Once each, and no change elsewhere; changes in "in", which the text of the name shows, are reported as always."""
    private.do(f"cd {place}; mount --bind in mounted")
    with watching(place, "in", recursive=True) as watch:
        name = f"{place}/{way}" if absolute else way
        code = CHANGES.replace("X", name).replace("O/", "mounted/sub/../" if way == "mounted" else "out/")
        with staying(private, place, code.replace('"out/', f'"{place}/out/') if absolute else code):
            wait_for(lambda: (watch.session.run_once(), (place / "done").exists() and len(watch.events) >= len(EXPECTED))[1])
    shown = {"X": "in" if way == "to" else way, "O": "mounted" if way == "mounted" else "out"}
    assert operations(watch.events, place) == [
        tuple(word.replace("X", shown["X"]).replace("O", shown["O"]) for word in row) for row in EXPECTED
    ]
    assert watch.stats.total.seen == watch.stats.total.delivered == len(EXPECTED)
    assert watch.stats.total.lost == watch.stats.total.aggregated == 0
    files = [file for event in watch.events for file in (event.file, event.target) if file and file.path.startswith(os.fsencode(place))]
    assert {file.later for file in files if b"/out/" not in file.path} == {way != "in"}
    assert all(os.path.basename(file.requested) == os.path.basename(file.path) for file in files if file.later)
    assert way == "in" or files[0].requested.decode() == f"{name}/one"
    inodes = {file.inode for file in files if file.later and file.path.endswith(b"/three")}
    assert inodes == ({os.stat(place / "in/sub/three").st_ino} if way != "in" else set())


def test_a_watched_file_through_a_cached_directory(place: Path, private: Shell) -> None:
    """The cached result for a directory is not used for the one watched name in it."""
    private.do(f"cd {place}; mount --bind in mounted")
    with watching(place, "in/one") as watch:
        private.do("rm mounted/two; chmod 600 mounted/sub/three; touch out/x; mv out/x out/y")
        watch.session.run_once()
        private.do(f"rm mounted/sub/three; rm mounted/one; echo x >out/new; mv out/new {place}/to/one; cd mounted; rm one")
    assert operations(watch.events, place) == [
        ("unlinkat", "mounted/one"),
        ("renameat2", "out/new", "in/one"),
        ("unlinkat", "mounted/one"),
    ]


def test_links_themselves(place: Path) -> None:
    """A change of a link is not a change of its target, and vice versa."""
    (place / "out/link").symlink_to("../in/one")
    (place / "in/away").symlink_to("../out/five")
    with watching(place, "in") as watch, Shell() as shell:
        shell.do(f"cd {place}; chown 0 out/link; chown 0 to/away")
        wait_for(lambda: (watch.session.run_once(), watch.events)[1])  # looked up before the links themselves are changed
        shell.do("chown -h 0 out/link; chown -h 0 to/away")
    reported = [(event.path.decode().removeprefix(f"{place}/"), event.file.inode) for event in watch.events if event.file]
    assert reported == [(name, os.lstat(place / name).st_ino) for name in ("in/one", "in/away")]


def test_a_link_that_was_replaced_meanwhile(place: Path) -> None:
    """The call did not change the link's target at the time of the look-up: it is not reported, but counted."""
    (place / "to").unlink()
    (place / "to").symlink_to("out")
    (place / "in/five").write_text("")
    time.sleep(0.1)  # the file is older than the call
    with watching(place, "in") as watch, Shell() as shell:
        shell.do(f"cd {place}; chmod 600 to/five; rm to; ln -s in to")
    assert operations(watch.events, place) == [("symlinkat", "in", "to")]
    assert [note.split()[0] for note in notes(watch.stats) if GONE in note] != []


TURN: Final = """
os.chdir(place)
for number in range(20 * turn, 20 * turn + 20):
    if number % 20 == (0, 0, 10)[turn % 3] and turn % 3:
        os.symlink(("in", "out")[turn // 2 % 2], "next"); os.rename("next", "to")
    print(number, os.path.realpath("to/one")); os.chown("to/one", number, -1)
"""


def test_no_wrong_file_is_reported(place: Path) -> None:
    """A link that is replaced before a round of calls, during it, or not at all; files on both sides change all the time. Each call sets
    a different owner."""
    truth: dict[int, str] = {}
    with Shell() as shell, watching(place, "in", targets=Targets(pids=[shell.pid])) as watch:
        for turn in range(15):
            shell.do("sleep 0.15")  # a look-up is cached for 0.1 s, a link must be 0.02 s old
            lines = shell.do(python(f'place = "{place}"; turn = {turn}{TURN}'))
            truth |= {int(number): name for number, name in map(str.split, lines)}
            watch.session.run_once()
    reported = {int(event.offset or 0): event.path.decode() for event in watch.events if event.op == "setattr"}
    assert {number: truth[number] for number in reported} == reported
    inside = {number for number, name in truth.items() if name == str(place / "in/one")}
    steady = {number for number in inside if number // 20 % 3 == 0}
    assert steady
    assert steady <= reported.keys()
    counted = sum(int(note.split()[0]) for note in notes(watch.stats) if GONE in note or "led elsewhere" in note)
    assert len(inside) <= len(reported) + counted


def test_removed_files_are_counted(place: Path) -> None:
    mine = "mkdir out/d; touch out/d/x; mv out/d/x out/d/y; rm -r out/d"
    with Shell() as shell:
        shell.do(f"cd {place}")
        with watching(place, "in", targets=Targets(pids=[shell.pid])) as watch:
            shell.do(f"{mine}; ln -s ../in/one out/l; chmod 600 out/l; rm out/l; touch out/z; chmod 600 out/z; rm out/z")
    assert [event.op for event in watch.events] == ["symlink"]  # which names the file that is watched
    assert [note.split()[0] for note in notes(watch.stats) if GONE in note] == ["1"]
    assert [note.split()[0] for note in notes(watch.stats) if REMOVED in note] == ["2"]


def test_a_removed_file_is_reported_by_its_directory(place: Path) -> None:
    with watching(place, "in") as watch, Shell() as shell:
        shell.do(f"chmod 600 {place}/to/one; rm {place}/to/one")
    assert operations(watch.events, place) == [("fchmodat", "in/one"), ("unlinkat", "in/one")]


def test_names_in_a_chroot_through_a_link(place: Path) -> None:
    """Links are followed as the caller follows them: "/" is its root."""
    (place / "in/inner").mkdir()
    (place / "in/inner/file").write_text("")
    (place / "out/soft").symlink_to("/sub")
    (place / "in/soft").symlink_to("/inner")
    with watching(place, "in/inner") as watch, Shell() as shell:
        code = f'os.chroot("{place}/in"); os.chdir("/"); os.chmod("/soft/file", 0o600); os.chmod("soft/../../soft/file", 0o600)'
        shell.do(python(code))
    assert operations(watch.events, place) == [("chmod", "in/inner/file")] * 2


def test_proc_self_is_the_callers(place: Path) -> None:
    """Our own descriptor of that number leads to another file."""
    fd = os.open(place / "in/one", os.O_RDONLY)
    try:
        os.dup2(fd, 200)
        with watching(place, "in") as watch, Shell() as shell:
            code = f'os.dup2(os.open("{place}/out/five", os.O_RDONLY), 200); os.chmod("/proc/self/fd/200", 0o600)'
            shell.do(python(code))
            os.chmod(place / "in/one", 0o640)  # by this process, which is not traced
    finally:
        os.close(200)
        os.close(fd)
    assert watch.events == []


def test_names_that_lead_elsewhere_are_not_looked_up_again(place: Path) -> None:
    """The negative cache lasts until something is moved or mounted, or a symbolic link is created: then the name may lead to a watched
    path."""
    with Shell() as shell:
        shell.do(f"cd {place}; touch out/1 out/2 out/3; rm to; ln -s out to")
        with watching(place, "in", targets=Targets(pids=[shell.pid])) as watch:
            shell.do("rm to/1; chmod 600 out/five")
            for _ in range(100):  # until no other process moves anything meanwhile
                watch.session.run_once()
                before, epoch = watch.produced(), watch.source.globals["epoch"][0]
                shell.do("touch to/2; rm to/2; chmod 600 out/five")
                if watch.source.globals["epoch"][0] == epoch:
                    break
            assert watch.produced() == before
            shell.do("rm to; ln -s in to")
            time.sleep(0.15)  # a look-up is cached for 0.1 s
            shell.do("rm to/one; chmod 600 to/two")
    assert operations(watch.events, place) == [("symlinkat", "in", "to"), ("unlinkat", "in/one"), ("fchmodat", "in/two")]


@pytest.mark.skipif(no_ring_operation(IORING_OP_RENAMEAT) or no_request_in_completions(), reason="a rename through io_uring")
def test_a_request_of_a_ring(program: Callable[[str], str], place: Path) -> None:
    """It is looked up when it has completed; a failed one is reported by the text of its name."""
    ring = f"{program('identity')} ring {place}"
    with watching(place, "in") as watch, Shell() as shell:
        shell.do(
            f"{ring}/to/one {place}/to/uno; {ring}/in/none {place}/in/any; {ring}/to/none {place}/to/any; {ring}/out/one {place}/out/uno"
        )
    assert [event.result for event in watch.events] == [0, -errno.ENOENT]
    assert operations(watch.events, place) == [("io_uring:renameat", "in/one", "in/uno"), ("io_uring:renameat", "in/none", "in/any")]
    assert watch.stats.total.seen == watch.stats.total.delivered == 2


def test_an_excluded_path(place: Path) -> None:
    with watching(place, "in", recursive=True, places=False, exclude=[str(place / "in/sub")]) as watch, Shell() as shell:
        shell.do(f"cd {place}; chmod 600 to/sub/three to/two; rm to/sub/three")
    assert operations(watch.events, place) == [("fchmodat", "in/two")]
