"""Paths of files through mounts, in other roots and in other mount namespaces.

Separate from test_paths.py, where names change and mounts do not. The oracles: os.stat and the contents that were read.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

from tests.kernel.harness import Shell, by_path, device, trace, wanted
from tests.kernel.mount_namespaces import PRIVATE, files_of, make_root, private


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
