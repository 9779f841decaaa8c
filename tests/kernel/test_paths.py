"""Paths: symlinks, mounts, roots, renames, and names that are used again.

Separate from test_filters.py, which tests whether a file matches. The oracles: os.stat, os.path.realpath, and sizes of
reads and writes that identify the file that was open.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from filetap.selection.targets import Targets
from tests.kernel.harness import SEARCH, Event, Run, Shell, Watch, by_path, device, trace, wanted

Build = Callable[[str], str]
IO = ("open", "read", "write", "close")
PRIVATE = ("unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec")


def files_of(run: Run, op: str = "read") -> list[Event]:
    """Return the events on regular files below /tmp, without libraries."""
    return [event for event in run.events if event.op == op and not event.path.startswith((b"/usr", b"/etc", b"/lib", b"/proc"))]


def private(script: str, *events: str) -> Run:
    """Run a script in a mount namespace of its own, whose mounts no other process sees."""
    return trace([*PRIVATE, script], wanted(*(events or IO)), env=SEARCH)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("hello")
    return path


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


def test_bind_mount(file: Path) -> None:
    """The path is the one that was used, in the namespace's own tree."""
    other = file.parent / "mounted"
    other.mkdir()
    (file.parent / "in").mkdir()
    (file.parent / "in/deep").write_text("deep")
    run = private(f"mount --bind {file.parent}/in {other}; cat {other}/deep {file.parent}/in/deep")
    assert [event.path for event in files_of(run) if event.result] == [os.fsencode(other / "deep"), os.fsencode(file.parent / "in/deep")]
    assert len({event.file.inode for event in files_of(run) if event.file}) == 1
    assert len({event.file.mount for event in files_of(run) if event.file}) == 2


def test_bind_mount_of_a_file(file: Path) -> None:
    (file.parent / "over").touch()
    run = private(f"mount --bind {file} {file.parent}/over; cat {file.parent}/over")
    assert [event.path for event in files_of(run) if event.result] == [os.fsencode(file.parent / "over")]


def test_filter_through_a_bind_mount(file: Path) -> None:
    """A filter means identity: a file that is reached through another mount is the same file."""
    (file.parent / "in").mkdir()
    (file.parent / "in/deep").write_text("deep")
    (file.parent / "mounted").mkdir()
    script = f"mount --bind {file.parent}/in {file.parent}/mounted; cat {file.parent}/mounted/deep"
    run = trace([*PRIVATE, script], wanted("read", paths=[str(file.parent / "in")]))
    assert {event.path for event in run.events} == {os.fsencode(file.parent / "mounted/deep")}


def test_tmpfs_mounted_over(file: Path) -> None:
    """The same path is another file after the mount, and again after the unmount."""
    folder = file.parent
    run = private(f"cat {file}; mount -t tmpfs tmpfs {folder}; echo longer >{file}; cat {file}; umount {folder}; cat {file}")
    mine = [event for event in by_path(run.events, file) if event.op == "read" and event.result]
    assert [event.result for event in mine] == [5, 7, 5]
    assert [event.file.filesystem for event in mine if event.file][1] == b"tmpfs"
    assert mine[0].file
    assert mine[2].file
    assert mine[0].file.inode == mine[2].file.inode == file.stat().st_ino
    assert run.output == b"hellolonger\nhello"


def test_mount_moved(file: Path) -> None:
    """A file is open below a mount that moves: later events have the new path."""
    one, two = file.parent / "one", file.parent / "two"
    one.mkdir()
    two.mkdir()
    script = f"mount -t tmpfs tmpfs {one}; echo hello >{one}/x; exec 5<{one}/x; read -r a <&5; mount --move {one} {two}; read -r a <&5 || :"
    run = private(script, "read")
    paths = [event.path for event in files_of(run)]
    assert (paths[0], paths[-1]) == (os.fsencode(one / "x"), os.fsencode(two / "x"))


def test_overlay(tmp_path: Path) -> None:
    """One event per call, not one per layer; the path is the overlay's."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/old").write_text("lower")
    # The upper layer must not be on an overlay itself: a tmpfs will do.
    script = (
        f"mount -t tmpfs tmpfs {tmp_path}/work; mkdir {tmp_path}/work/u {tmp_path}/work/w; "
        f"mount -t overlay overlay -o lowerdir={tmp_path}/lower,upperdir={tmp_path}/work/u,workdir={tmp_path}/work/w {tmp_path}/merged; "
        f"cd {tmp_path}/merged; cat old; echo more >>old; cat old; echo new >new; cat new; stat -c %i old new"
    )
    run = private(script)
    mine = [event for event in run.events if b"/merged/" in event.path or b"/work/" in event.path or b"/lower/" in event.path]
    assert {event.path.decode().removeprefix(f"{tmp_path}/") for event in mine} == {"merged/old", "merged/new"}
    reads = [(event.path[-3:], event.result) for event in mine if event.op == "read" and event.result]
    assert reads == [(b"old", 5), (b"old", 10), (b"new", 4)]
    assert [(event.path[-3:], event.result, event.offset) for event in mine if event.op == "write"] == [(b"old", 5, 5), (b"new", 4, 0)]
    old, new = (int(number) for number in run.output.split()[-2:])
    inodes = {event.path[-3:]: event.file.inode for event in mine if event.file}
    assert inodes == {b"old": old, b"new": new}
    assert {event.file.filesystem for event in mine if event.file} == {b"overlay"}


def make_root(folder: Path) -> Path:
    """Create a tree to chroot into, with busybox or the few programs that the test needs."""
    root = folder / "root"
    for program in ("/bin/cat", "/bin/sh"):
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
        for path in [program, *(word for word in libraries if word.startswith("/"))]:
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    (root / "inside").write_text("inside")
    return root


def test_chroot(tmp_path: Path) -> None:
    """Paths start at the root of the mount namespace; the task's own root is reported separately."""
    root = make_root(tmp_path)
    run = trace(
        ["/usr/sbin/chroot", root, "/bin/cat", "/inside", "/none", "none"], wanted("open", "read", "exec"), stderr=subprocess.DEVNULL
    )
    (read,) = [event for event in files_of(run) if event.result and event.path.endswith(b"/inside")]
    assert read.path == os.fsencode(root / "inside")
    assert read.task.root == os.fsencode(root)
    assert read.task.exe == os.fsencode(root / "bin/cat")
    failed = [event.path for event in run.events if event.result == -2 and event.path.endswith(b"none")]
    assert failed == [os.fsencode(root / "none")] * 2


def test_chroot_from_within(tmp_path: Path) -> None:
    """A process that changes its root while it is traced."""
    root = make_root(tmp_path)
    (tmp_path / "outside").write_text("out")
    code = f"import os; open('{tmp_path}/outside').read(); os.chroot('{root}'); os.chdir('/'); open('/inside').read()"
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted("open", "read"))
    roots = {event.path: event.task.root for event in run.events}
    assert roots[os.fsencode(tmp_path / "outside")] == b"/"
    assert roots[os.fsencode(root / "inside")] == os.fsencode(root)


def test_other_mount_namespace(file: Path) -> None:
    """A process that enters another mount namespace: the same path is another file there, and the namespace's number is reported."""
    with Shell(*PRIVATE[:4], "/bin/sh") as inside:
        inside.do(f"mount -t tmpfs tmpfs {file.parent}; echo other >{file}")
        number = os.stat(f"/proc/{inside.pid}/ns/mnt").st_ino
        inode = int(inside.do(f"stat -c %i {file}")[0])
        run = trace(["sh", "-c", f"cat {file}; exec nsenter --mount=/proc/{inside.pid}/ns/mnt cat {file}"], wanted("read"))
    mine = [event for event in by_path(run.events, file) if event.result]
    here = os.stat("/proc/self/ns/mnt").st_ino
    assert run.output == b"helloother\n"
    assert number != here
    assert [(event.task.mount_namespace, event.file.mount_namespace, event.file.inode) for event in mine if event.file] == [
        (here, here, file.stat().st_ino),
        (number, number, inode),
    ]


def test_pivot_root(tmp_path: Path) -> None:
    """Paths of a process in a container's tree are those of that tree."""
    root = make_root(tmp_path)
    (root / "old").mkdir()
    script = f"mount --bind {root} {root}; cd {root}; pivot_root . old; exec chroot . /bin/cat /inside"
    shutil.copy("/usr/sbin/chroot", root / "bin/chroot")
    run = private(script.replace("exec chroot", "exec /bin/chroot"), "read", "open")
    read = [event for event in run.events if event.path.endswith(b"/inside")]
    assert {event.path for event in read} == {b"/inside"}
    assert {event.task.root for event in read} == {b"/"}
    assert run.output == b"inside"


def test_detached_mount(file: Path) -> None:
    """umount -l while a file is open: it is no longer connected to the root, and must not get a path that belongs to another file."""
    folder = file.parent
    script = f"mount -t tmpfs tmpfs {folder}; echo x >{file}; exec 5<{file}; umount -l {folder}; read -r a <&5; cat {file}"
    run = private(script, "read")
    lazily = [event for event in run.events if event.result > 0 and event.file and event.file.filesystem == b"tmpfs"]
    assert lazily
    assert all(event.path != os.fsencode(file) for event in lazily)
    assert [event.path for event in run.events if event.result == 5 and event.file and event.file.filesystem != b"tmpfs"] == [
        os.fsencode(file)
    ]


def test_shared_memory() -> None:
    """A tmpfs: device and inode are those of stat."""
    path = Path(f"/dev/shm/filetap-test-{os.getpid()}")
    path.write_text("shared")
    try:
        run = trace(["cat", path], wanted("read"))
        (event, *_) = by_path(run.events, path)
        assert event.file
        assert (event.file.inode, event.file.device, event.file.filesystem) == (path.stat().st_ino, device(path), b"tmpfs")
    finally:
        path.unlink()


def test_proc() -> None:
    """Files of procfs are regular files too, below their mount."""
    run = trace(["cat", "/proc/version"], wanted("read"))
    mine = by_path(run.events, "/proc/version")
    assert [event.result for event in mine] == [len(Path("/proc/version").read_bytes()), 0]
    assert all(event.file and stat.S_ISREG(event.file.mode) and event.file.filesystem == b"proc" for event in mine)
