"""Paths: symlinks, mounts, roots, renames, and names that are used again.

Separate from test_filters.py, which tests whether a file matches. The oracles: os.stat, os.path.realpath, and sizes of
reads and writes that identify the file that was open.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from filetap.selection.targets import Targets
from tests.kernel.harness import Shell, Watch, by_path, device, trace, wanted
from tests.kernel.mount_namespaces import IO, files_of

Build = Callable[[str], str]


def test_identity_and_attributes(file: Path) -> None:
    file.chmod(0o751)
    run = trace(["cat", file], wanted(*IO))
    st = file.stat()
    (event, *_) = by_path(run.events, file)
    assert event.file
    assert (event.file.inode, event.file.device, event.file.mode, event.file.size) == (st.st_ino, device(file), st.st_mode, 5)
    kind = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", str(file)], capture_output=True, check=True).stdout.strip()
    assert event.file.filesystem == kind
    assert event.file.mount_namespace == os.stat("/proc/self/ns/mnt").st_ino
    assert event.file.mount == mount_id(file)


def mount_id(path: Path) -> int:
    with path.open("rb") as stream:
        lines = Path(f"/proc/self/fdinfo/{stream.fileno()}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("mnt_id"))


def test_namespaces_and_start(file: Path) -> None:
    """A process in pid, mount, user and cgroup namespaces of its own: their numbers are those in /proc/PID/ns."""
    script = "readlink /proc/self/ns/mnt /proc/self/ns/cgroup /proc/self/ns/user; cat "
    run = trace(["unshare", "--fork", "--pid", "--mount", "--cgroup", "--user", "-r", "sh", "-c", script + str(file)], wanted(*IO))
    (mnt, cgroup, user) = (int(line.split(b"[")[1][:-1]) for line in run.output.splitlines()[:3])
    (event, *_) = by_path(run.events, file)
    task = event.task
    assert (task.mount_namespace, task.cgroup_namespace, task.user_namespace) == (mnt, cgroup, user)
    assert task.namespace_pid < 10
    assert task.namespace_pid != task.pid
    assert task.pid_namespace != os.stat("/proc/self/ns/pid").st_ino
    assert task.start <= event.time


def test_symlinks_on_the_way(file: Path) -> None:
    folder = file.parent
    (folder / "dir").mkdir()
    (folder / "dir" / "up").symlink_to("..")
    (folder / "link").symlink_to("dir/up/file")
    run = trace(["cat", folder / "link", f"{folder}/dir/up/dir/up/file"], wanted("open"))
    assert [event.path for event in files_of(run, "open") if event.result >= 0] == [os.fsencode(os.path.realpath(folder / "link"))] * 2


def test_hard_links_keep_their_names(file: Path) -> None:
    """The path is the name that was opened; the inode is the same for all."""
    os.link(file, file.parent / "other")
    run = trace(["cat", file, file.parent / "other", file], wanted("read"))
    names = [event.path for event in files_of(run)]
    assert names == [os.fsencode(path) for path in (file, file, file.parent / "other", file.parent / "other", file, file)]
    assert {event.file.inode for event in files_of(run) if event.file} == {file.stat().st_ino}


def test_renamed_file(file: Path) -> None:
    """Later events of a file that stays open carry the new path."""
    new = file.parent / "renamed"
    with Shell() as shell:
        with Watch(Targets(pids=[shell.pid]), wanted("read")) as watch:
            shell.do(f"exec 5<{file}; read -r x <&5; mv {file} {new}; read -r x <&5")
        mine = [event.path for event in watch.events if event.path.startswith(os.fsencode(file.parent))]
    assert mine[0] == os.fsencode(file)
    assert mine[-1] == os.fsencode(new)
    assert set(mine) == {os.fsencode(file), os.fsencode(new)}


@pytest.mark.parametrize("events", [("read",), ("open", "read"), ("open", "dup")])
def test_renamed_by_another_process(tmp_path: Path, events: tuple[str, ...]) -> None:
    """A directory two levels up is renamed by a process that is not a target, whichever hooks are attached."""
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/b/c/file").write_text("hello")
    with Shell() as shell:
        shell.do(f"cd {tmp_path}/a/b/c")
        with Watch(Targets(pids=[shell.pid]), wanted(*events)) as watch:
            shell.do("read -r x <file || :")
            (tmp_path / "a/b").rename(tmp_path / "a/B")
            shell.do("read -r x <file || :")
            (tmp_path / "a").rename(tmp_path / "A")
            shell.do("read -r x <file || :")
        op = events[-1] if "read" in events else "open"
        mine = [event.path for event in watch.events if event.op == op and event.path.startswith(os.fsencode(tmp_path))]
    expected = [os.fsencode(tmp_path / name) for name in ("a/b/c/file", "a/B/c/file", "A/B/c/file")]
    assert list(dict.fromkeys(mine)) == expected


def test_exchanged_names(tmp_path: Path) -> None:
    """renameat2(RENAME_EXCHANGE) by another process."""
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("22")
    code = f"import ctypes; raise SystemExit(ctypes.CDLL(None).renameat2(-100, b'{tmp_path}/one', -100, b'{tmp_path}/two', 2))"
    with Shell() as shell:
        with Watch(Targets(pids=[shell.pid]), wanted("read")) as watch:
            shell.do(f"cat {tmp_path}/one {tmp_path}/two >/dev/null")
            subprocess.run(["/usr/bin/python3", "-I", "-S", "-c", code], check=True)
            shell.do(f"cat {tmp_path}/one {tmp_path}/two >/dev/null")
        found = [
            (event.path.decode()[-3:], event.result)
            for event in watch.events
            if event.path.startswith(os.fsencode(tmp_path)) and event.result
        ]
    assert found == [("one", 1), ("two", 2), ("one", 2), ("two", 1)]


@pytest.mark.parametrize("latency", [True, False])
def test_names_used_again(program: Build, tmp_path: Path, latency: bool) -> None:
    """The same seven names are created and removed 2,000 times: each write has the right name and the right inode."""
    run = trace([program("files"), "recreate", tmp_path, "2000"], wanted("open", "write", "close"), {"latency": latency})
    inodes = [int(line) for line in run.output.split()]
    for op in ("open", "write", "close"):
        mine = [event for event in files_of(run, op) if event.path.startswith(os.fsencode(tmp_path))]
        assert len(mine) == 2000
        wrong = [event for i, event in enumerate(mine) if event.path != os.fsencode(tmp_path / f"name{i % 7}")]
        assert wrong == []
        assert [event.file.inode for event in mine if event.file] == inodes
        assert not any(event.file.deleted for event in mine if event.file)
    writes = [event for event in files_of(run, "write") if event.path.startswith(os.fsencode(tmp_path))]
    assert [event.result for event in writes] == [i % 7 + 1 for i in range(2000)]


def test_renames_at_speed(program: Build, tmp_path: Path) -> None:
    """Reads of 1 byte happened under one name, of 2 bytes under the other; 500 times each."""
    (tmp_path / "here").write_text("hello")
    run = trace([program("files"), "swap", tmp_path, "500"], wanted("read"))
    mine = [(event.path, event.result) for event in files_of(run)]
    assert mine == [(os.fsencode(tmp_path / "here"), 1), (os.fsencode(tmp_path / "there"), 2)] * 500


@pytest.mark.parametrize("latency", [True, False])
def test_rename_during_a_path_walk(program: Build, tmp_path: Path, latency: bool) -> None:
    """A directory far above is renamed all the time: each path is one of the two, or is marked as uncertain."""
    (tmp_path / "here/a/b/c/d/e/f").mkdir(parents=True)
    for i in range(50):
        (tmp_path / f"here/a/b/c/d/e/f/file{i}").write_text("x")
    run = trace([program("files"), "tumble", tmp_path, "3000"], wanted("open", "read", "close"), {"latency": latency})
    assert run.status == 0
    for op in ("open", "read", "close"):
        mine = [event for event in run.events if event.op == op and b"file" in event.path and b"/f/" in event.path]
        assert len(mine) == 3000, {event.path: event for event in run.events if event.op == op and event not in mine}
        for i, event in enumerate(mine):
            ways = [os.fsencode(tmp_path / way / f"a/b/c/d/e/f/file{i % 50}") for way in ("here", "there")]
            assert event.path in ways or (event.file and event.file.raced)


def test_deleted_while_open(file: Path) -> None:
    with Shell() as shell:
        with Watch(Targets(pids=[shell.pid]), wanted("read", "close")) as watch:
            shell.do(f"exec 5<{file}; cat <&5 >/dev/null; rm {file}; cat <&5; exec 5<&-")
        mine = by_path(watch.events, file)
    assert [event.file.deleted for event in mine if event.file and event.op == "read"] == [False, False, True]
    assert [event.file.deleted for event in mine if event.file and event.op == "close"][-1]


def test_deleted_and_created_again(file: Path) -> None:
    """The new file of this name is not marked as deleted."""
    with Shell() as shell:
        with Watch(Targets(pids=[shell.pid]), wanted("read")) as watch:
            shell.do(f"exec 5<{file}; cat <&5 >/dev/null; rm {file}; echo hello world >{file}; cat <&5; cat {file} >/dev/null")
        mine = by_path(watch.events, file)
    assert [(event.result, event.file.deleted) for event in mine if event.file] == [
        (5, False),
        (0, False),
        (0, True),
        (12, False),
        (0, False),
    ]
