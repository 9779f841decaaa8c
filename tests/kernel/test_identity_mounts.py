"""One file seen through several mounts: its path on the host (--host-paths), and the file beneath an overlay.

Separate from test_paths.py, which tests the path of an open file. The oracles: os.stat, mountinfo.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest

from filetap.selection.targets import Targets
from tests.conformance.unsupported import modules_without_types
from tests.kernel.harness import SEARCH, Event, Run, Shell, Watch, trace, wanted
from tests.kernel.mount_namespaces import PRIVATE, make_root
from tests.timeouts import wait_for

# --host-paths


def private(script: str, **filters: Any) -> Run:
    """Run a script in a mount namespace of its own."""
    return trace([*PRIVATE, script], wanted("open", "read", "write", **filters), {"host_paths": True}, env=SEARCH)


def reads_of(run: Run, end: str) -> list[Event]:
    return [event for event in run.events if event.op == "read" and event.result > 0 and event.path.endswith(end.encode())]


def host_path(event: Event) -> str:
    """Return the host path, after checking that it leads to this file: the test runs in the host's mount namespace."""
    assert event.file
    path = os.fsdecode(event.file.host_path)
    if path:
        assert os.stat(path).st_ino == event.file.inode
    return path


def test_host_path_of_a_bind_mount(tree: Path) -> None:
    run = private(f"mount --bind {tree}/in {tree}/out; cat {tree}/out/sub/two {tree}/in/one")
    (through,) = reads_of(run, "/two")
    assert (through.path.decode(), host_path(through)) == (f"{tree}/out/sub/two", f"{tree}/in/sub/two")
    (direct,) = reads_of(run, "/one")
    assert direct.path.decode() == host_path(direct) == f"{tree}/in/one"


def test_host_path_of_a_bind_mounted_file(tree: Path) -> None:
    run = private(f"mount --bind {tree}/in/one {tree}/out/three; cat {tree}/out/three")
    (read,) = reads_of(run, "/three")
    assert host_path(read) == f"{tree}/in/one"


def test_host_path_in_a_containers_root(tmp_path: Path) -> None:
    """After pivot_root paths are the container's, and host paths those of the directory that it was made of."""
    root = make_root(tmp_path)
    (root / "old").mkdir()
    script = f"mount --bind {root} {root}; cd {root}; pivot_root . old; exec /old/usr/sbin/chroot . /bin/cat /inside"
    run = private(script.replace("exec /old", "export LD_LIBRARY_PATH=/lib; exec /old"))
    (read,) = reads_of(run, "/inside")
    assert (read.path, host_path(read)) == (b"/inside", str(root / "inside"))


def test_host_path_of_a_file_invisible_to_the_host(tree: Path) -> None:
    """A tmpfs of the namespace's own has no path on the host, and must not get the path of another file."""
    run = private(f"mount -t tmpfs tmpfs {tree}/out; echo hidden >{tree}/out/three; cat {tree}/out/three")
    (read,) = reads_of(run, "/three")
    assert host_path(read) == ""


def test_host_path_covered_on_the_host(tree: Path) -> None:
    """The namespace still sees the file, but on the host a mount covers it."""
    with Shell(*PRIVATE[:4], "/bin/sh") as inside, Watch(Targets(pids=[inside.pid]), wanted("read"), host_paths=True) as watch:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "in"], check=True)
        try:
            (tree / "in/one").write_text("covers it")
            inside.do(f"read -r x <{tree}/in/one || :")
            reads = [event for event in watch_now(watch) if event.path == os.fsencode(tree / "in/one")]
        finally:
            subprocess.run(["umount", tree / "in"], check=True)
    assert reads
    assert {host_path(event) for event in reads} == {""}


def watch_now(watch: Watch) -> list[Event]:
    """Return the events so far, described at this moment."""
    wait_for(lambda: not watch.session.run_once())
    return watch.events


def test_host_path_of_each_mounted_file_system(tree: Path) -> None:
    """Plain files of all mounted file systems have their own paths as host paths, without a namespace in between."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert "/proc" in points
    with NamedTemporaryFile(dir="/dev/shm") as shared:
        names = [str(tree / "in/one"), "/proc/version", shared.name, "/etc/hostname"]
        run = trace(["cat", *names], wanted("read"), {"host_paths": True})
    found = {event.path.decode(): os.fsdecode(event.file.host_path) for event in run.events if event.file}
    assert {name: found[name] for name in names} == {name: name for name in names}


def test_no_host_path_by_default(tree: Path) -> None:
    run = trace(["cat", tree / "in/one"], wanted("read"))
    assert {event.file.host_path for event in run.events if event.file} == {b""}


# overlayfs


OVERLAY = """
mkdir {0}/merged {0}/work
mount -t tmpfs tmpfs {0}/work
mkdir {0}/work/u {0}/work/w
mount -t overlay overlay -o lowerdir={0}/in,upperdir={0}/work/u,workdir={0}/work/w {0}/merged
cd {0}/merged
"""


def overlay(tree: Path, script: str) -> tuple[Run, list[tuple[int, int]]]:
    """Return the run, and what ``stat`` printed: inode and device of each given file."""
    run = trace([*PRIVATE, OVERLAY.format(tree) + script], wanted("open", "read", "write"), env=SEARCH)
    assert run.status == 0
    numbers = [list(map(int, line.split()[1:])) for line in run.output.splitlines() if line.startswith(b"stat ")]
    return run, [(inode, os.major(dev) << 20 | os.minor(dev)) for inode, dev in numbers]


def real(run: Run, name: str) -> list[tuple[str, int, int]]:
    """Return op, inode and device of the underlying file, for each event on the file in the overlay."""
    mine = [e for e in run.events if e.path.endswith(f"/merged/{name}".encode()) and e.result >= 0 and e.file]
    return [(event.op, event.file.real_inode, event.file.real_device) for event in mine if event.file]


STAT = "stat -c 'stat %i %d'"
needs_types = pytest.mark.skipif(modules_without_types(), reason="types of the kernel's modules")


@needs_types
def test_real_inode_of_a_lower_file(tree: Path) -> None:
    run, (lower,) = overlay(tree, f"cat one >/dev/null; {STAT} {tree}/in/one")
    assert [(inode, device) for _, inode, device in real(run, "one")] == [lower] * 3
    assert lower[0] == (tree / "in/one").stat().st_ino


@needs_types
def test_real_inode_of_an_upper_file(tree: Path) -> None:
    run, (upper,) = overlay(tree, f"echo new >new; cat new; {STAT} {tree}/work/u/new")
    assert {(inode, device) for _, inode, device in real(run, "new")} == {upper}


@needs_types
def test_real_inode_after_a_copy_up(tree: Path) -> None:
    """From the open that copies the file on, it is the upper file's."""
    run, (lower, upper) = overlay(tree, f"cat one >/dev/null; echo more >>one; cat one >/dev/null; {STAT} {tree}/in/one {tree}/work/u/one")
    assert lower != upper
    assert real(run, "one") == [
        *[(op, *lower) for op in ("open", "read", "read")],
        *[(op, *upper) for op in ("open", "write", "open", "read", "read")],
    ]


@needs_types
def test_real_inode_of_a_file_open_before_its_copy_up(tree: Path) -> None:
    """The descriptor stays, but the underlying file has changed."""
    run, (upper,) = overlay(tree, f"exec 5<one; cat <&5 >/dev/null; echo more >>one; cat <&5 >/dev/null; {STAT} {tree}/work/u/one")
    assert real(run, "one")[-1] == ("read", *upper)


def test_no_real_inode_elsewhere(tree: Path) -> None:
    run = trace(["cat", tree / "in/one"], wanted("read"))
    assert {(event.file.real_inode, event.file.real_device) for event in run.events if event.file} == {(0, 0)}
