"""Filters: paths, operations, types, failures, latency. Events that do not match never reach the CPU rings.

Separate from test_targets.py, which selects processes. Where nothing may match, the oracle is the kernel's producer
position: it has not moved.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import pytest

from filetap.selection.targets import Targets
from tests.conformance import cases
from tests.kernel.harness import READING, Run, Shell, Watch, names_requests, trace, wanted

IO = ("open", "read", "close")
PLAIN = {"LC_ALL": "C", "PATH": os.defpath}
"""Without a search for locales: the only failed opens are those of a test."""
TREE = ("d/one", "d/two", "d/sub/three", "d/sub/deep/four", "d2/five", "six", "d/sub2/seven")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def cat_all(tree: Path, names: Sequence[str] = TREE, **filters: Any) -> Run:
    """Read all files of the tree with one command and return the filtered events."""
    return trace(["cat", *(tree / name for name in names)], wanted(*IO, **filters), cwd=tree, env=PLAIN, stderr=DEVNULL)


def seen(run: Run, tree: Path) -> set[str]:
    """Return the files of the events; each file was opened, read to its end (twice) and closed."""
    names = {event.path.decode().removeprefix(f"{tree}/") for event in run.events}
    for name in names:
        mine = [event.op for event in run.events if event.path == os.fsencode(tree / name)]
        assert mine == ["open", "read", "read", "close"]
    assert run.produced == len(run.events)
    assert run.stats.total.seen == run.stats.total.delivered == len(run.events)
    assert run.stats.files == len(names)
    return names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["d/one"], {"d/one"}),
        (["d"], {"d/one", "d/two", "d/sub/three", "d/sub/deep/four", "d/sub2/seven"}),
        (["d/"], {"d/one", "d/two", "d/sub/three", "d/sub/deep/four", "d/sub2/seven"}),
        (["d/sub"], {"d/sub/three", "d/sub/deep/four"}),
        (["d/sub", "d2", "six"], {"d/sub/three", "d/sub/deep/four", "d2/five", "six"}),
        (["d/../d2/./five"], {"d2/five"}),
    ],
)
def test_path(tree: Path, paths: list[str], names: set[str]) -> None:
    """A file, or everything below a directory; never a string prefix (d is not d2, sub is not sub2)."""
    assert seen(cat_all(tree, paths=[str(tree / path) if ".." not in path else f"{tree}/{path}" for path in paths]), tree) == names


@pytest.mark.parametrize("latency", [True, False])
@pytest.mark.parametrize(("paths", "names"), [(["d"], {"d/one", "d/two"}), (["d/sub"], {"d/sub/three"}), (["six"], {"six"})])
def test_no_recursive(tree: Path, paths: list[str], names: set[str], latency: bool) -> None:
    filters = wanted(*IO, paths=[str(tree / path) for path in paths], recursive=False)
    assert seen(trace(["cat", *(tree / name for name in TREE)], filters, {"latency": latency}, env=PLAIN), tree) == names


@pytest.mark.parametrize(
    ("paths", "exclude", "names"),
    [
        (["d"], ["d/sub"], {"d/one", "d/two", "d/sub2/seven"}),
        (["d"], ["d/one", "d/sub/deep"], {"d/two", "d/sub/three", "d/sub2/seven"}),
        (["."], ["d"], {"d2/five", "six"}),
        (["d/sub"], ["d"], set()),
    ],
)
def test_exclude(tree: Path, paths: list[str], exclude: list[str], names: set[str]) -> None:
    run = cat_all(tree, paths=[str(tree / path) for path in paths], exclude=[str(tree / path) for path in exclude])
    assert seen(run, tree) == names


def test_exclude_alone(tree: Path) -> None:
    """All files except these."""
    run = cat_all(tree, exclude=[str(tree / "d"), "/usr", "/etc", "/lib", "/proc"])
    assert {event.path for event in run.events if event.result >= 0} == {os.fsencode(tree / "d2/five"), os.fsencode(tree / "six")}


def test_symlinked_path(tree: Path) -> None:
    """A symlink on the command line means its target; so does one on the way of the access."""
    (tree / "to-d").symlink_to("d")
    (tree / "to-six").symlink_to("six")
    names = ("to-d/one", "d/two", "to-six", "d2/five")
    assert seen(cat_all(tree, names, paths=[str(tree / "to-d"), str(tree / "to-six")]), tree) == {"d/one", "d/two", "six"}


def test_hard_link(tree: Path) -> None:
    """The same file under another name is the given file: a filter means identity."""
    os.link(tree / "six", tree / "d2" / "other")
    run = cat_all(tree, ("d2/other", "six", "d2/five"), paths=[str(tree / "six")])
    assert seen(run, tree) == {"d2/other", "six"}
    assert {event.file.inode for event in run.events if event.file} == {(tree / "six").stat().st_ino}


def test_file_replaced_under_its_name_is_another(tree: Path) -> None:
    """A file that takes the name while tracing is not the file that was given when tracing began."""
    with Shell() as shell:
        with Watch(Targets(pids=[shell.pid]), wanted(*IO, paths=[str(tree / "six")])) as watch:
            shell.do(f"cat {tree}/six >/dev/null; mv {tree}/six {tree}/old; echo new >{tree}/six; : <{tree}/six; : <{tree}/old")
        assert {event.path for event in watch.events} == {os.fsencode(tree / "six"), os.fsencode(tree / "old")}
        assert [event.op for event in watch.events if event.path == os.fsencode(tree / "six")] == ["open", "read", "read", "close"]


def test_file_moved_in_and_out(tree: Path) -> None:
    """The location at the time of the access counts, even if the file was known before its move."""
    move = f"mv {tree}/six {tree}/d/; : <{tree}/d/six; mv {tree}/d/six {tree}/d2/; : <{tree}/d2/six"
    with Shell() as shell:
        with Watch(Targets(pids=[shell.pid]), wanted("open", "read", paths=[str(tree / "d")])) as watch:
            shell.do(f": <{tree}/six; {move}; mv {tree}/d2/six {tree}/; : <{tree}/six")
        assert [event.path for event in watch.events] == [os.fsencode(tree / "d" / "six")]


def test_new_files_below_a_directory(tree: Path) -> None:
    script = f"mkdir {tree}/d/new; echo x >{tree}/d/new/file; echo x >{tree}/d2/file; mkdir {tree}/d3; echo x >{tree}/d3/file"
    run = trace(["sh", "-c", script], wanted("write", "read", paths=[str(tree / "d")]))
    assert [(event.op, event.path, event.result) for event in run.events] == [("write", os.fsencode(tree / "d/new/file"), 2)]


@pytest.mark.parametrize(
    ("requested", "matches"),
    [
        ("d/none", True),
        ("d/sub/none", True),
        ("d2/../d/none", True),
        ("d2/none", False),
        ("none", False),
        ("d2/d/none", False),
        ("dnone", False),
    ],
)
def test_failed_paths_lexically(tree: Path, requested: str, matches: bool) -> None:
    """A failed call has no inode: its requested path is compared by whole components."""
    run = trace(["cat", requested], wanted(*IO, paths=[str(tree / "d")]), cwd=tree, stderr=DEVNULL)
    expected = [(-2, os.fsencode(os.path.normpath(tree / requested)))] if matches else []
    assert [(event.result, event.path) for event in run.events] == expected
    assert run.stats.total.seen == run.stats.total.delivered == len(expected)


def test_failed_paths_without_recursion_and_excluded(tree: Path) -> None:
    names = ["d/none", "d/sub/none", "d/sub2/none"]
    run = trace(["cat", *names], wanted(*IO, paths=[str(tree / "d")], exclude=[str(tree / "d/sub")]), cwd=tree, stderr=DEVNULL)
    assert [event.path for event in run.events] == [os.fsencode(tree / "d/none"), os.fsencode(tree / "d/sub2/none")]
    run = trace(["cat", *names], wanted(*IO, paths=[str(tree / "d")], recursive=False), cwd=tree, stderr=DEVNULL)
    assert [event.path for event in run.events] == [os.fsencode(tree / "d/none")]


def test_failed(tree: Path) -> None:
    """Failures only, of any op."""
    script = f"cat {tree}/six; cat {tree}/none; (: >>{tree}/d); {tree}/nothing"
    run = trace(["sh", "-c", script], wanted("all", failed=True, paths=[str(tree)]), stderr=DEVNULL)
    assert {(event.op, event.result, event.path.decode().removeprefix(f"{tree}/")) for event in run.events} == {
        ("open", -2, "none"),
        ("open", -21, "d"),
        ("exec", -2, "nothing"),
    }
    assert all(event.result < 0 for event in run.events)


def late_read(seconds: float, min_latency: int) -> tuple[Run, int]:
    """A read of a pipe that waits this long, one that does not, and the duration of the first by the program's clock."""
    code = f"""
r, w = os.pipe(); reader = os.getpid()
if not os.fork():
    wait_until_it_reads(reader, r); time.sleep({seconds}); os.write(w, b'latesoon'); os._exit(0)
before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
os.read(r, 4)
print(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - before)
os.read(r, 4)
"""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", READING + code], wanted("read", types=["pipe"], min_latency=min_latency))
    return run, int(run.output)


def test_min_latency() -> None:
    """Slow reads of a pipe are reported, and quick ones are not."""
    run, took = late_read(0.3, min_latency=200_000_000)
    (read,) = run.events
    assert read.result == 4
    assert 300_000_000 <= read.duration <= took
    assert run.produced == 1


def test_min_latency_beyond_everything(tree: Path) -> None:
    run = cat_all(tree, min_latency=10_000_000_000)
    assert (run.events, run.produced, run.stats.ops) == ([], 0, {})


def test_a_latency_of_seconds_is_reported_in_nanoseconds() -> None:
    """Above 4.29 s the unit in the event changes to microseconds."""
    run, took = late_read(4.4, min_latency=1_000_000_000)
    (read,) = run.events
    assert 4_399_999_000 <= read.duration <= took


OPS = {
    ("open",): {"openat"},
    ("read",): {"read", "pread64"},
    ("io",): {"read", "pread64", "write"},
    ("pread64",): {"pread64"},
    ("close", "write"): {"close", "write"},
    ("dup",): {"fcntl", "dup2"},
    ("fcntl",): {"fcntl"},
    ("exec",): {"execve"},
    ("exit", "read"): {"exit", "read", "pread64"},
    ("open", "dup"): {"openat", "fcntl", "dup2"},
    (): {"openat", "close", "read", "pread64", "write", "fcntl", "dup2"},
}


@pytest.mark.parametrize("latency", [True, False])
@pytest.mark.parametrize("events", OPS, ids=lambda events: "+".join(events) or "default")
def test_ops_groups_and_calls(tmp_path: Path, events: tuple[str, ...], latency: bool) -> None:
    """One script makes every call of the table; only the selected ones are reported."""
    (tmp_path / "in").write_text("x")
    code = f"""
import os, fcntl
f = os.open('{tmp_path}/in', os.O_RDWR)
os.read(f, 1); os.pread(f, 1, 0); os.write(f, b'y'); fcntl.fcntl(f, 0, 50); os.dup2(f, 60); os.close(f)
os.execv('/bin/true', ['true'])
"""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted(*events), {"latency": latency})
    found = {event.call for event in run.events if event.op in ("exec", "exit") or event.path == os.fsencode(tmp_path / "in")}
    assert found == OPS[events]
    assert run.stats.total.seen == run.stats.total.delivered == len(run.events)
    assert run.produced == run.slots


@pytest.fixture
def other_types(tmp_path: Path) -> str:
    """Python code that does I/O on one descriptor of each type, and on a regular file."""
    (tmp_path / "file").write_text("x" * 100)
    return f"""
import os, socket, select
def look(fd, n=1):
    os.read(fd, n)
look(os.open("{tmp_path}/file", os.O_RDONLY))
r, w = os.pipe(); os.write(w, b"pipe"); look(r)
a, b = socket.socketpair(); a.send(b"sock"); look(b.fileno())
look(os.open("/dev/zero", os.O_RDONLY))
e = os.eventfd(3); look(e, 8)
d = os.open("{tmp_path}", os.O_RDONLY); os.close(d)
"""


TYPES = {
    "pipe": ("pipe:[", 0o010000),
    "socket": ("socket:[", 0o140000),
    "char": ("/dev/zero", 0o020000),
    "anon": ("anon_inode:[eventfd]", 0),
}


@pytest.mark.parametrize("name", TYPES)
def test_type(other_types: str, tmp_path: Path, name: str) -> None:
    """The given type is reported in addition to regular files, and no other."""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", other_types], wanted("read", "close", types=[name]))
    begins, mode = TYPES[name]
    odd = [e for e in run.events if (e.file and e.file.mode & 0o170000 != 0o100000) or e.path.startswith(b"anon_inode")]
    assert odd
    assert {event.file.mode & 0o170000 for event in odd if event.file} == {mode}
    assert any(event.path.decode().startswith(begins) and event.op == "read" for event in odd)
    assert {event.offset for event in odd} == {None}
    assert any(event.path == os.fsencode(tmp_path / "file") for event in run.events)


def test_type_directory(other_types: str, tmp_path: Path) -> None:
    run = trace(
        ["/usr/bin/python3", "-I", "-S", "-c", other_types], wanted("open", "read", "close", types=["directory"], paths=[str(tmp_path)])
    )
    mine = [event for event in run.events if event.path == os.fsencode(tmp_path)]
    assert [event.op for event in mine] == ["open", "close"]
    assert all(event.file and event.file.inode == tmp_path.stat().st_ino for event in mine)


ON_DIRECTORIES = {"getdents", "statfs", "chdir"}
"""Operations on directories are reported whatever the types."""


def test_regular_files_only_by_default(other_types: str) -> None:
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", other_types])
    kinds = {(event.op, event.file.mode & 0o170000) for event in run.events if event.file and event.file.resolved}
    assert {kind for op, kind in kinds if op not in ON_DIRECTORIES} == {0o100000}
    assert not any(event.path.startswith((b"pipe", b"socket", b"anon", b"/dev")) for event in run.events)


def test_filtered_events_do_not_reach_the_cpu_rings(tree: Path) -> None:
    """Events of another process, another path or another op do not move the producers."""
    with Shell() as target, Shell() as other:
        with Watch(Targets(pids=[target.pid]), wanted("read", paths=[str(tree / "d")])) as watch:
            other.do(f"cat {tree}/d/one >/dev/null; cat {tree}/d/none 2>/dev/null")
            target.do(f"cat {tree}/six >/dev/null; : <{tree}/d/one; echo x >>{tree}/d/two")
            assert watch.produced() == 0
            target.do(f"cat {tree}/d/one >/dev/null")
            assert watch.produced() == 2
        assert [event.op for event in watch.events] == ["read", "read"]


def test_own_process_is_never_seen(tmp_path: Path) -> None:
    """Not even with --all, nor any of its threads."""
    one, two = socket.socketpair()
    reader = threading.Thread(target=one.recv, args=(1,))
    with Watch(Targets(all=True), wanted(*IO, "write", paths=[str(tmp_path)], types=["all"])) as watch:
        reader.start()
        two.send(b"x")
        reader.join()
        (tmp_path / "own").write_text("x")
        own = threading.Thread(target=(tmp_path / "own").read_text)
        own.start()
        own.join()  # a child would inherit its descriptor, and close it
        subprocess.run(["cat", str(tmp_path / "own")], check=True, stdout=DEVNULL)
    one.close()
    two.close()
    assert {event.task.comm for event in watch.events} == {b"cat"}
    assert os.getpid() not in {event.pid for event in watch.events}


def test_two_sessions_do_not_mix(tree: Path) -> None:
    """Each session has its own maps: what one filters, the other may report."""
    with Shell() as shell:
        with (
            Watch(Targets(pids=[shell.pid]), wanted("open", "read", paths=[str(tree / "d")])) as one,
            Watch(Targets(pids=[shell.pid]), wanted("open", "read", paths=[str(tree / "d2")])) as two,
        ):
            shell.do(f": <{tree}/d/one; : <{tree}/d2/five")
        assert [event.path for event in one.events] == [os.fsencode(tree / "d/one")]
        assert [event.path for event in two.events] == [os.fsencode(tree / "d2/five")]


def test_an_empty_name_means_the_working_directory(tree: Path) -> None:
    """AT_EMPTY_PATH from AT_FDCWD: the filter applies to the working directory itself."""
    code = "import ctypes, os\nfor d in ('d', '..'):\n os.chdir(d); ctypes.CDLL(None).fstatat(-100, b'', bytes(256), 0x1000)"
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted("newfstatat", paths=[str(tree / "d")]), cwd=tree)
    assert [event.path for event in run.events] == [os.fsencode(tree / "d")]


@names_requests
@pytest.mark.parametrize("inside", [True, False])
def test_a_request_without_a_completion(tmp_path: Path, inside: bool) -> None:
    """It is reported when it is submitted, with its file, and only if that file passes the filter."""
    (case,) = cases.all_cases(["uring/read_no_completion"])
    cases.build([case])
    for name in ("run", "other"):
        (tmp_path / name).mkdir()
    run = trace(
        [case.program], wanted("io_uring:read", paths=[str(tmp_path / "run" if inside else tmp_path / "other")]), cwd=tmp_path / "run"
    )
    assert [event.size for event in run.events] == [300, 100] * inside
