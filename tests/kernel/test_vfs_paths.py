"""Paths and filters at the VFS level: paths as bpf_d_path gives them, watched inodes, filters, execs, failures.

Separate from test_vfs.py, which compares call by call. The oracle of paths is a BPF program of its own, d_path.bpf.c,
which calls the kernel.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from filetap.capture import hooks
from filetap.kernel.loader import Object
from filetap.kernel.maps import Map
from filetap.probes import vfs
from tests.kernel import programs
from tests.kernel.harness import Event, Run, at_level, trace
from tests.kernel.test_vfs import tree

pytestmark = pytest.mark.hooks

OPENED: Final = np.dtype([("inode", "<u8"), ("pid", "<u4"), ("length", "<i4"), ("path", "u1", 4096)])
U32, U64 = np.dtype("<u4"), np.dtype("<u8")
MAY_EXEC, MAY_WRITE, MAY_READ, MAY_ACCESS, MAY_OPEN = 1, 2, 4, 16, 32
"""include/linux/fs.h."""


@contextmanager
def d_path() -> Iterator[Callable[[], list[tuple[int, int, bytes]]]]:
    """Return process, inode and path of each file that a descendant of this process opens meanwhile, by the kernel's own function."""
    loaded = Object(str(programs.build_object("d_path").with_name("d_path")))
    try:
        own = np.array([os.getpid()], "<u4")
        loaded.set_constant(".rodata.self", own)
        loaded.load({"file_open"})
        with loaded.attach("file_open"):
            yield lambda: _opened(loaded)
    finally:
        loaded.close()


def _opened(loaded: Object) -> list[tuple[int, int, bytes]]:
    count = int(Map(loaded.map_fd("count"), U32, U64).items()[1][0])
    entries = Map(loaded.map_fd("opened"), U32, OPENED).items()[1]
    assert count < len(entries)
    assert (entries[:count]["length"] > 0).all()
    return [(int(entry["pid"]), int(entry["inode"]), bytes(entry["path"][: entry["length"] - 1])) for entry in entries[:count]]


def in_words(event: Event) -> bytes:
    """Return the path as the process itself would see it."""
    assert event.file
    path = event.path.removeprefix(event.task.root.rstrip(b"/"))
    return path + b" (deleted)" * event.file.deleted


@pytest.mark.hooks("fentry")
def test_paths_are_those_of_bpf_d_path(program: Callable[[str], str], tmp_path: Path) -> None:
    """Very deep, bind-mounted, in a chroot, in an overlay, unlinked, as long as possible."""
    with d_path() as opened:
        run = trace([program("vfs"), tree(tmp_path), "hidden"], *at_level("vfs", "open", types=["all"]))
        reported = opened()
    below = os.fsencode(tmp_path)
    assert run.status == 0
    for pid in {event.pid for event in run.events}:
        ours = [(event.file.inode, in_words(event)) for event in run.events if event.pid == pid and event.file]
        kernels = [(inode, path) for number, inode, path in reported if number == pid]
        rest = iter(kernels)  # also events before the exec, and files that overlayfs opens underneath
        assert [row for row in ours if row not in rest] == []
        assert {path for _, path in kernels if path.startswith(below)} == {path for _, path in ours if path.startswith(below)}
    names = {in_words(event) for event in run.events}
    assert max(map(len, names)) > 4000
    assert {b"/kept", *(os.fsencode(tmp_path / name) for name in ("bound/kept", "gone (deleted)", "lay/all/one"))} <= names


def permissions(run: Run) -> list[tuple[bytes, int]]:
    assert {event.known for event in run.events} == {False}
    return [(event.path, event.size or 0) for event in run.events if event.op == "permission"]


@pytest.mark.parametrize("level", ["vfs", "auto"])
def test_permission_on_watched_inodes_only(tmp_path: Path, level: str) -> None:
    """With the requested mask: that of open(2), of access(2), and of a directory on the way."""
    tree(tmp_path)
    (tmp_path / "d").mkdir()
    for name in ("watched", "other", "d/below"):
        (tmp_path / name).touch()
    script = ": <watched; test -w watched; : <other; : <d/below; : <watched"
    watched = [str(tmp_path / "watched"), str(tmp_path / "d")]
    run = trace(["/bin/sh", "-c", script], *at_level(level, "permission", paths=watched), cwd=tmp_path)
    file, directory = (os.fsencode(path) for path in watched)
    assert [row for row in permissions(run) if row[0] == file] == [
        (file, MAY_READ | MAY_OPEN),
        (file, MAY_WRITE | MAY_ACCESS),
        (file, MAY_READ | MAY_OPEN),
    ]
    assert {path for path, _ in permissions(run)} == {file, directory}
    assert all(mask & MAY_EXEC for path, mask in permissions(run) if path == directory)


@pytest.mark.parametrize(("level", "call"), [("vfs", "security_path_chmod"), ("auto", "fchmodat")])
def test_a_path_is_an_inode(tmp_path: Path, level: str, call: str) -> None:
    """Through a symbolic link and another hard link too; events that do not match stay in the kernel."""
    tree(tmp_path)
    for name in ("wanted", "other"):
        (tmp_path / name).touch()
    (tmp_path / "soft").symlink_to("wanted")
    os.link(tmp_path / "wanted", tmp_path / "hard")
    script = "chmod 600 wanted other soft hard; mv other another; mv hard harder"
    run = trace(["/bin/sh", "-c", script], *at_level(level, "setattr", "rename", paths=[str(tmp_path / "wanted")]), cwd=tmp_path)
    assert [(event.op, event.path) for event in run.events] == [
        *(("setattr", os.fsencode(tmp_path / name)) for name in ("wanted", "wanted", "hard")),
        ("rename", os.fsencode(tmp_path / "hard")),
    ]
    assert run.events[0].call == call
    assert {event.file.inode for event in run.events if event.file} == {os.stat(tmp_path / "wanted").st_ino}
    assert run.events[-1].target_path == os.fsencode(tmp_path / "harder")
    assert run.stats.total.seen == len(run.events)


@pytest.mark.parametrize("level", ["vfs", "auto"])
def test_failures_only(program: Callable[[str], str], tmp_path: Path, level: str) -> None:
    """A hundred renames from one line of code, in turn successful, failed before the hook and failed after it."""
    run = trace([program("vfs"), tree(tmp_path), "loop"], *at_level(level, "rename", failed=True))
    lines = [line for line in run.lines if line["result"] < 0 and not (level == "vfs" and line["early"])]
    assert [(e.path.decode(), e.target_path.decode(), e.result) for e in run.events] == [
        (line["path"], line["target"], line["result"]) for line in lines
    ]
    assert [(e.file.inode if e.file else 0) for e in run.events] == [line.get("inode", 0) for line in lines]


@pytest.mark.parametrize("level", ["vfs", "auto"])
def test_exec(program: Callable[[str], str], tmp_path: Path, level: str) -> None:
    """Failures are reported at the hook, which is not reached without permission. A script is executed once."""
    run = trace([program("vfs"), tree(tmp_path), "exec"], *at_level(level, "exec"))
    assert run.status == 0
    execs = [(event.call, event.path, event.result) for event in run.events]
    failed = [line for line in run.lines if level == "auto" or not line["early"]]
    call = "execve" if level == "auto" else "security_bprm_check"
    assert execs == [
        ("execve", os.fsencode(program("vfs")), 0),
        *((call, line["path"].encode(), line["result"]) for line in failed),
        ("execve", os.fsencode(tmp_path / "script"), 0),
    ]


def test_what_an_exec_does_itself(tmp_path: Path) -> None:
    """Each file that it opens and reads is reported once, and without a result, for only the exec has one."""
    run = trace(["/bin/sh", "-c", "/bin/true; :"], *at_level("vfs", "open", "read", "exec"))
    binary = os.fsencode(os.path.realpath("/bin/true"))
    before = [event for event in run.events if not event.known]
    assert [(event.op, event.path) for event in before][:2] == [("open", binary), ("read", binary)]
    assert len({(event.op, event.path) for event in before}) == len(before)
    assert {event.fd for event in before} == {-1}
    assert [event.call for event in run.events if event.path == binary and event.op == "exec"] == ["execve"]


def test_a_core_dump_has_no_result(tmp_path: Path) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    assert not pattern.startswith(("|", "@")), "this machine writes core files"
    tree(tmp_path)
    run = trace(["/bin/sh", "-c", "ulimit -c unlimited; kill -SEGV $$"], *at_level("vfs", "open", "write", "mknod"), cwd=tmp_path)
    (core,) = tmp_path.glob("core*")
    found = [event for event in run.events if event.path == os.fsencode(core)]
    assert [event.op for event in found][:2] == ["mknod", "open"]
    assert [(event.known, event.fd) for event in found] == [(False, -1)] * len(found)
    assert {event.file.inode for event in found if event.op == "open" and event.file} == {os.stat(core).st_ino}


AGAIN: Final = """
import os, sys
for number in range(100):
    os.mkdir(f"{number}")
    os.symlink("target", f"{number}/link")
    os.unlink(f"{number}/link")
    os.rmdir(f"{number}")
"""


def test_names_in_reused_memory(tmp_path: Path) -> None:
    """A file that does not exist yet has no inode to distinguish it from the previous one at the same address."""
    run = trace([sys.executable, "-I", "-S", "-c", AGAIN], *at_level("vfs", "symlink"), cwd=tmp_path)
    expected = [(f"{number}/target", f"{number}/link") for number in range(100)]
    assert [(event.path, event.target_path) for event in run.events] == [
        (os.fsencode(tmp_path / target), os.fsencode(tmp_path / link)) for target, link in expected
    ]


def test_a_wrong_signature_refuses_the_attach_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other hooks still attach; the error is reported once."""
    doctored = [hook._replace(parameters=(7,), lsm_parameters=(7,)) if hook.program == "path_mkdir" else hook for hook in vfs.TABLE]
    monkeypatch.setattr(vfs, "TABLE", tuple(doctored))
    run = trace(["/bin/mkdir", tmp_path / "new"], *at_level("vfs", "mkdir", "rmdir"))
    assert set(run.attach_types) == {"security_path_rmdir"}
    assert [note for note in run.notes if "mkdir" in note] == ["not seen: security_path_mkdir, because no hook type attaches to it"]
    assert run.events == []


def test_an_unsuitable_attach_type_leads_to_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    doctored = [hook._replace(lsm_parameters=(7,)) if hook.program == "path_mkdir" else hook for hook in vfs.TABLE]
    monkeypatch.setattr(vfs, "TABLE", tuple(doctored))
    monkeypatch.setattr(hooks, "attach_types", lambda _: ("lsm", "kprobe"))
    run = trace(["/bin/mkdir", tmp_path / "new"], *at_level("vfs", "mkdir", "rmdir"))
    assert run.attach_types["security_path_mkdir"] == "kprobe"
    assert [event.path for event in run.events] == [os.fsencode(tmp_path / "new")]
    assert len([note for note in run.notes if "mkdir" in note or "by kprobe" in note]) == 1
