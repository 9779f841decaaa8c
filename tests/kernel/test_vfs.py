"""Operations at the VFS level, the same for each attach type; and the names at the level auto.

Separate, because it needs hooks that not every machine allows. The oracle is vfs/: for each call it prints the paths,
the inodes from lstat, and the time around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.capture import hooks
from filetap.kernel.types import KernelTypes
from filetap.probes import uring
from filetap.probes.vfs import ATTACH_TYPES
from tests.kernel.harness import Event, Run, at_level, trace

NAMING: Final = ("mkdir", "rmdir", "mknod", "link", "symlink", "unlink", "rename", "setattr", "truncate")
OPS: Final = (*NAMING, "open", "read", "write", "mmap", "fallocate", "sendfile", "copy_file_range")
VFS_OPS: Final = (*NAMING, "open", "read", "write", "modify", "mmap")
CASES: Final = "mkdir rmdir mknod link unlink rename setattr truncate open io loop elsewhere overlay narrow aio uring".split()
HOOKS: Final = {
    **{op: f"security_path_{op}" for op in NAMING},
    "open": "security_file_open",
    **dict.fromkeys(("read", "write", "fallocate", "sendfile", "copy_file_range"), "security_file_permission"),
    "mmap": "security_mmap_file",
    **dict.fromkeys(("chmod", "fchmod", "fchmodat"), "security_path_chmod"),
    **dict.fromkeys(("chown", "lchown", "fchown", "fchownat"), "security_path_chown"),
    "utimensat": "vfs_utimes",
}
"""Time limits by call or by op."""
NUMBERS: Final = ("security_file_open", "security_file_permission", "security_mmap_file")
"""Hooks of calls whose result is more than success."""

Line = dict[str, Any]
Row = tuple[Any, ...]


def tree(folder: Path) -> Path:
    """Return a directory that all users may search."""
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)
    return folder


@pytest.fixture(scope="module", params=[pytest.param(attach_type, marks=pytest.mark.hooks(attach_type)) for attach_type in ATTACH_TYPES])
def attach_type(request: pytest.FixtureRequest) -> Iterator[str]:
    """Make this the best available attach type; hooks that do not support it take the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hooks, "attach_types", lambda _: ATTACH_TYPES[ATTACH_TYPES.index(request.param) :])
        yield request.param


def all_took(run: Run, attach_type: str) -> bool:
    """Return whether every hook all_took that type: one has no LSM hook, and one does not take the types of a kernel before v6.1."""
    others = {function for function, found in run.attach_types.items() if found != attach_type}
    return others <= {"vfs_utimes" if attach_type == "lsm" else "", "security_path_chown"}


@pytest.fixture(scope="module")
def vfs(attach_type: str, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = trace([program("vfs"), tree(tmp_path_factory.mktemp(f"vfs-{attach_type}"))], *at_level("vfs", *VFS_OPS))
    assert run.status == 0
    assert all_took(run, attach_type)
    return run


@pytest.fixture(scope="module")
def auto(attach_type: str, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = trace([program("vfs"), tree(tmp_path_factory.mktemp(f"auto-{attach_type}"))], *at_level("auto", *OPS))
    assert run.status == 0
    assert all_took(run, attach_type)
    return run


def has(function: str) -> bool:
    with KernelTypes() as kernel:
        return kernel.parameters_of(function) is not None


def lines_of(run: Run, case: str) -> list[Line]:
    lines = [line for line in run.lines if line["case"] == case]
    assert lines, "the program has no such case"
    return lines


def events_of(run: Run, line: Line) -> list[Event]:
    """Return the events of the line's call: its thread's, or those of a kernel worker on its behalf."""
    found = [event for event in run.events if line["begun"] < event.time < line["ended"]]
    return sorted((event for event in found if line["unknown"] or event.tid == line["tid"]), key=lambda event: event.time)


def row_of(event: Event, line: Line) -> Row:
    """Return the compared fields; of numbers, those that the program printed. An overlay's inodes are not those of lstat."""
    printed = line if event.op == line["op"] else {}
    numbers = tuple(getattr(event, name) if name in printed else None for name in ("size", "offset", "argument"))
    first, second = (file.inode if file and line["case"] != "overlay" else 0 for file in (event.file, event.target))
    return (event.op, event.call, event.path, first, event.target_path, second, event.result, event.known, *numbers)


def hook_row(line: Line, hook: str) -> Row:
    """Return what a hook, as FUNCTION/OP, should report of the call."""
    function, _, op = hook.partition("/")
    if function == "security_file_truncate" and not has(function):
        function = "security_path_truncate"
    path: str = line["path"]
    target: str = line.get("target", "")
    inode, target_inode = line.get("inode", 0), line.get("target_inode", 0)
    if line["op"] in ("sendfile", "copy_file_range"):
        path, inode = (path, inode) if op == "read" else (target, target_inode)
        target, target_inode = "", 0
    result = 0 if line["unknown"] else line["result"] if function in NUMBERS else min(line["result"], 0)
    numbers = tuple(line.get(name) if op == line["op"] else None for name in ("size", "offset", "argument"))
    return (op, function, path.encode(), inode, target.encode(), target_inode, result, not line["unknown"], *numbers)


def hooks_of(line: Line) -> list[str]:
    usual = HOOKS.get(line["call"]) or HOOKS[line["op"]]
    hooks_passed: str = line.get("hooks", f"{usual}/{line['op']}")
    return [] if line["early"] else hooks_passed.split()


@pytest.mark.parametrize("case", CASES)
def test_the_vfs_level(vfs: Run, case: str) -> None:
    """Each call has the events of the hooks that it passed, in their order, and no other."""
    for line in lines_of(vfs, case):
        assert [row_of(event, line) for event in events_of(vfs, line)] == [hook_row(line, hook) for hook in hooks_of(line)], vfs.stats.notes


def by_thread(run: Run) -> Iterator[tuple[list[Line], list[Event]]]:
    """Group lines and events by thread, in order. Not by the time around each call: another CPU's clock may differ."""
    lines = lines_of(run, "thread")
    for tid in {line["tid"] for line in lines}:
        yield [line for line in lines if line["tid"] == tid], [event for event in run.events if event.tid == tid]


def test_threads_at_the_vfs_level(vfs: Run) -> None:
    for lines, events in by_thread(vfs):
        expected = [(line, hook_row(line, hook)) for line in lines for hook in hooks_of(line)]
        assert [row_of(event, line) for event, (line, _) in zip(events, expected, strict=True)] == [row for _, row in expected]


def test_threads_at_auto(auto: Run) -> None:
    for lines, events in by_thread(auto):
        rows = [call_row_of(event, line) for event, line in zip(events, lines, strict=True)]
        assert rows == [call_row(line) for line in lines]


def called(line: Line, which: str, *, as_asked: bool) -> str:
    """Return whether it is one of its paths: the resolved one, or the one that the caller gave."""
    requested = "requested" if which == "path" else "requested_target"
    path: str = line.get(requested if as_asked and requested in line else which, "")
    return path


def call_row(line: Line) -> Row:
    """Return what a system call should report: the files that its hook resolved, or the requested names."""
    named = line["early"] and (line["op"] in (*NAMING, "open"))
    path, target = (called(line, end, as_asked=named) for end in ("path", "target"))
    inodes = (0, 0) if named else (line.get("inode", 0), line.get("target_inode", 0))
    moved = line["op"] in NAMING
    numbers = tuple(line.get(name) if moved else None for name in ("size", "offset", "argument"))
    return (line["op"], line["call"], str(path).encode(), inodes[0], str(target).encode(), inodes[1], line["result"], True, *numbers)


@pytest.mark.parametrize("case", CASES)
def test_auto(auto: Run, case: str) -> None:
    """Each call has one event, resolved if a hook saw it, and no separate event of the hook."""
    for line in lines_of(auto, case):
        assert [call_row_of(event, line) for event in events_of(auto, line)] == expected_calls(line), auto.stats.notes


def call_row_of(event: Event, line: Line) -> Row:
    row = row_of(event, line)
    return row if event.op in NAMING else (*row[:8], None, None, None)


def expected_calls(line: Line) -> list[Row]:
    if not line["silent"]:
        return [call_row(line)]
    call = reported_otherwise(line["call"])
    return [call_row(line | {"call": call.replace("OP", line["op"])})] if call else []


def reported_otherwise(call: str) -> str:
    """Return how requests are reported at auto: by their own hook sets, where these attach. 32-bit calls are not reported."""
    with KernelTypes() as kernel:
        if call in ("ring", "worker"):
            return "io_uring:OP" if uring.programs(kernel) else ""
    return "io_submit" if call == "io_submit" else ""
