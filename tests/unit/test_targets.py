"""The options of targets, looked up in the real /proc and an invented cgroup hierarchy.

Separate from tests/kernel, where they select events. The oracle is the test's own process.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from filetap.core import wire
from filetap.core.errors import UsageError
from filetap.selection import targets
from filetap.selection.targets import Cgroup, Sandbox, Targets
from tests.timeouts import wait_for


def process_of(pid: int) -> int:
    """Return the process with this pid or thread id."""
    found, pidfd = targets.open_process(pid)
    os.close(pidfd)
    return found


def test_a_process_is_found() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        for pid in (os.getpid(), other.pid):
            assert process_of(pid) == pid


def test_a_thread_means_its_process() -> None:
    stop, begun = threading.Event(), threading.Event()
    tids: list[int] = []

    def run() -> None:
        tids.append(threading.get_native_id())
        begun.set()
        stop.wait()

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    try:
        assert tids != [os.getpid()]
        assert process_of(tids[0]) == os.getpid()
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("pid", [0, -1, 1 << 22, 10**20])
def test_no_process(pid: int) -> None:
    with pytest.raises(UsageError, match=f"no process {pid}"):
        process_of(pid)


def test_a_process_that_has_ended() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(UsageError, match=str(pid)):
        process_of(pid)


def test_a_process_that_ends_after_it_was_named() -> None:
    """Whether it is a zombie or not."""
    open_before = len(os.listdir("/proc/self/fd"))
    given = Targets()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        given.name_process(os.getpid())
        given.name_process(other.pid)
        given.name_process(other.pid)
        given.check_processes()
        assert given.pids == [os.getpid(), other.pid, other.pid]
        assert other.stdin
        other.stdin.close()
        wait_for(lambda: targets.has_ended(given.pidfds[other.pid]))
        for _ in range(2):
            with pytest.raises(UsageError, match=f"process {other.pid} has ended"):
                given.check_processes()
            other.wait()
    given.close()
    given.check_processes()
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_comm_is_what_the_kernel_keeps(tmp_path: Path) -> None:
    """PR_SET_NAME keeps 15 bytes of any name; filetap compares the same."""
    import ctypes

    old = Path("/proc/self/comm").read_bytes()
    for name in ("cat", "exactly15bytes!", "sixteen-bytes-xx", "a-name-of-more-than-fifteen", "ünï-cödé-näme-ß", "byte-\udcff"):
        ctypes.CDLL(None).prctl(15, os.fsencode(name), 0, 0, 0)
        with open(f"/proc/self/task/{threading.get_native_id()}/comm", "rb") as file:
            assert targets.find_comm(name) == file.read().removesuffix(b"\n")
    ctypes.CDLL(None).prctl(15, old.strip(), 0, 0, 0)


def test_an_empty_comm_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="-c"):
        targets.find_comm("")


def test_the_cgroup_mount_is_the_kernels() -> None:
    """statfs(2) identifies the file system: CGROUP2_SUPER_MAGIC, linux/magic.h."""
    kind = subprocess.run(["stat", "-f", "-c", "%t", targets.cgroup_root()], check=True, capture_output=True, text=True).stdout
    assert kind.strip() == "63677270"


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cgroup"
    (root / "system.slice" / "a.service").mkdir(parents=True)
    (root / "123").mkdir()
    (root / "file").touch()
    (tmp_path / "outside").mkdir()
    monkeypatch.setattr(targets, "cgroup_root", lambda: root)
    return root


@pytest.mark.parametrize("form", ["absolute", "relative", "slash", "id", "link"])
def test_cgroups(hierarchy: Path, tmp_path: Path, form: str) -> None:
    wanted = hierarchy / "system.slice" / "a.service"
    (tmp_path / "link").symlink_to(wanted)
    name = {
        "absolute": str(wanted),
        "relative": "system.slice/a.service",
        "slash": "/system.slice/a.service",
        "id": str(wanted.stat().st_ino),
        "link": str(tmp_path / "link"),
    }[form]
    assert targets.find_cgroup(name) == Cgroup(wanted, wanted.stat().st_ino, by_path=form != "id")


def test_cgroups_go_while_one_is_looked_for(hierarchy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cgroups of ended services disappear: the others are still searched."""
    walk = os.walk

    def walking(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        for found in walk(root):
            if found[0] == str(hierarchy / "123"):
                os.rmdir(found[0])
            yield found

    monkeypatch.setattr(os, "walk", walking)
    with pytest.raises(UsageError, match="no cgroup 999999999999"):
        targets.find_cgroup("999999999999")
    assert not (hierarchy / "123").exists()


def test_the_root_cgroup(hierarchy: Path) -> None:
    number = hierarchy.stat().st_ino
    for name in (str(hierarchy), "/", str(number)):
        assert targets.find_cgroup(name) == Cgroup(hierarchy, number, by_path=name != str(number))


@pytest.mark.parametrize("name", ["none", "", "file", "..", "../outside", "999999999999", "123456789012345678901234567890", "²"])
def test_no_cgroup(hierarchy: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"no cgroup {name}" if name else "--cgroup takes"):
        targets.find_cgroup(name)


def test_no_cgroup2_hierarchy(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "23 1 0:22 / /sys/fs/cgroup rw - cgroup cgroup rw,cpu\n24 1 0:23 / / rw - ext4 /dev/vda rw\n"
    monkeypatch.setattr(Path, "read_bytes", lambda _: lines.encode())
    with pytest.raises(UsageError, match="cgroup2"):
        targets.cgroup_root()


def test_optional_fields_of_mountinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    """proc_pid_mountinfo(5): any number of them before the dash."""
    lines = (
        "24 1 0:23 / / rw shared:1 master:2 - ext4 /dev/vda rw\n"
        "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 propagate_from:2 - cgroup2 none rw\n"
    )
    monkeypatch.setattr(Path, "read_bytes", lambda _: lines.encode())
    assert targets.cgroup_root() == Path("/sys/fs/cgroup")


A_CGROUP = Cgroup(Path("/x"), 7)


@pytest.mark.parametrize(
    "given",
    [Targets(command=5), Targets(pids=[1]), Targets(comms=[b"x"]), Targets(cgroups=[A_CGROUP]), Targets(all=True)],
    ids=["command", "pids", "comms", "cgroups", "all"],
)
def test_one_target_is_enough(given: Targets) -> None:
    given.check()


def test_a_target_is_required() -> None:
    with pytest.raises(UsageError, match="nothing to trace"):
        Targets().check()


def test_no_more_than_the_kernel_maps_hold() -> None:
    Targets(comms=[b"x"] * wire.MAX_COMMS, cgroups=[A_CGROUP] * wire.MAX_CGROUPS).check()
    with pytest.raises(UsageError, match="-c can be given at most 8 times"):
        Targets(comms=[b"x"] * 9).check()
    with pytest.raises(UsageError, match="--cgroup can be given at most 8 times"):
        Targets(cgroups=[A_CGROUP] * 9).check()


def test_seeds() -> None:
    own = wire.TARGET_PID | wire.TARGET_LIVE
    assert Targets(pids=[5, 6, 5]).marks() == {5: own, 6: own}
    assert Targets(command=7, pids=[5]).marks() == {5: own, 7: own | wire.TARGET_HELD}
    assert Targets(command=7, pids=[7]).marks() == {7: own | wire.TARGET_HELD}
    assert Targets(all=True, comms=[b"x"]).marks() == {}


@pytest.mark.parametrize(
    ("given", "ends"),
    [
        (Targets(command=1), True),
        (Targets(pids=[1]), True),
        (Targets(command=1, pids=[2]), True),
        (Targets(all=True), False),
        (Targets(command=1, all=True), False),
        (Targets(comms=[b"x"], pids=[1]), False),
        (Targets(cgroups=[A_CGROUP]), False),
    ],
    ids=range(7),
)
def test_targets_that_end_by_themselves(given: Targets, ends: bool) -> None:
    assert given.ends_by_itself is ends


def test_a_sandbox(hierarchy: Path) -> None:
    sandbox = Sandbox()
    assert sandbox.path == hierarchy / f"filetap-{os.getpid()}"
    assert sandbox.cgroup() == Cgroup(sandbox.path, sandbox.path.stat().st_ino)
    sandbox.adopt(77)
    assert (sandbox.path / "cgroup.procs").read_text() == "77"
    (sandbox.path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    assert sandbox.populated()
    (sandbox.path / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    assert not sandbox.populated()


def test_a_sandbox_is_removed_or_reported(hierarchy: Path) -> None:
    sandbox = Sandbox()
    (sandbox.path / "process").touch()
    line = sandbox.remove()
    assert str(sandbox.path) in line
    assert "rmdir" in line
    (sandbox.path / "process").unlink()
    assert sandbox.remove() == ""
    assert not sandbox.path.exists()


def test_two_sandboxes_of_the_same_pid_in_two_pid_namespaces(hierarchy: Path) -> None:
    made = [Sandbox(), Sandbox(), Sandbox()]
    assert [sandbox.path.name for sandbox in made] == [f"filetap-{os.getpid()}{more}" for more in ("", ".2", ".3")]
    assert all(sandbox.path.is_dir() for sandbox in made)


def test_a_sandbox_that_was_removed_already(hierarchy: Path) -> None:
    sandbox = Sandbox()
    sandbox.path.rmdir()
    assert not sandbox.populated()


def test_a_sandbox_that_cannot_be_created(hierarchy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "cgroup_root", lambda: hierarchy / "none")
    with pytest.raises(UsageError, match=r"--sandbox: .*No such file"):
        Sandbox()
