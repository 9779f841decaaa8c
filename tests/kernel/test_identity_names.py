"""Names for which no file is open: from descriptors, after chdir and chroot, after renames, with PATHs.

Separate from test_paths.py, which tests the path of an open file.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from filetap.selection.targets import Targets
from tests.conformance.unsupported import no_request_in_completions, no_ring_operation
from tests.kernel.harness import Event, Run, Shell, Watch, hold, notes, release, trace, wanted
from tests.kernel.trees import below, python
from tests.timeouts import scaled, wait_for

IORING_OP_RENAMEAT = 35
Build = Callable[[str], str]


BY_NAME = ("stat", "access", "mkdir", "rmdir", "rename", "unlink", "link", "symlink", "setattr", "truncate")


# requested names


def named(run: Run, tree: Path) -> list[tuple[str, str, str]]:
    """Return call, name and target of the operations by name, relative to the tree."""
    cut = len(str(tree)) + 1
    mine = [event for event in run.events if event.path.startswith(os.fsencode(f"{tree}/"))]
    assert all(event.file and not event.file.resolved for event in mine)
    return [(event.call, event.path.decode()[cut:], event.target_path.decode()[cut:]) for event in mine]


RELATIVE = """
try: os.stat('none', dir_fd=d)
except OSError: pass
os.mkdir('new', dir_fd=d); os.rename('new', 'newer', src_dir_fd=d, dst_dir_fd=d); os.rmdir('newer', dir_fd=d)
os.stat('../one', dir_fd=d, follow_symlinks=False); os.unlink('two', dir_fd=d)
"""
FOUND = [
    ("newfstatat", "in/sub/none", ""),
    ("mkdirat", "in/sub/new", ""),
    ("renameat", "in/sub/new", "in/sub/newer"),
    ("unlinkat", "in/sub/newer", ""),
    ("newfstatat", "in/one", ""),
    ("unlinkat", "in/sub/two", ""),
]


def test_names_from_a_descriptor(tree: Path) -> None:
    code = f"d = os.open('in/sub', os.O_PATH | os.O_DIRECTORY){RELATIVE}"
    assert named(python(code, tree, *BY_NAME), tree) == FOUND


def test_names_from_a_descriptor_that_came_through_a_symlink(tree: Path) -> None:
    """The path is the directory's real one, whatever name was used to open it."""
    (tree / "link").symlink_to("in/sub")
    code = f"d = os.open('link', os.O_RDONLY){RELATIVE}"
    assert named(python(code, tree, *BY_NAME), tree) == FOUND


def test_names_from_a_descriptor_whose_directory_is_moved(tree: Path) -> None:
    code = "d = os.open('in', os.O_RDONLY); os.stat('one', dir_fd=d); os.rename('in', 'on'); os.stat('one', dir_fd=d)"
    assert named(python(code, tree, "stat"), tree) == [("newfstatat", "in/one", ""), ("newfstatat", "on/one", "")]


def test_names_after_chdir(tree: Path) -> None:
    code = "os.access('one', 0); os.chdir('in'); os.access('one', 0); os.chdir('sub'); os.access('two', 0); os.access('../one', 0)"
    code += "\nf = os.open('../../out', os.O_RDONLY); os.fchdir(f); os.access('three', 0)"
    names = ["one", "in/one", "in/sub/two", "in/one", "out/three"]
    assert named(python(code, tree, "access"), tree) == [("access", name, "") for name in names]


def test_names_in_a_chroot(tree: Path) -> None:
    """Absolute names start from the task's root, relative ones from its working directory, even outside the root."""
    code = "os.access('in/one', 0); os.chroot('in'); os.access('/one', 0); os.access('out/three', 0); os.chdir('/sub'); os.access('two', 0)"
    names = ["in/one", "in/one", "out/three", "in/sub/two"]
    assert named(python(code, tree, "access"), tree) == [("access", name, "") for name in names]


def test_chdir_names_the_directory_itself(tree: Path) -> None:
    (tree / "link").symlink_to("in")
    code = "os.chdir('link'); f = os.open('sub', os.O_RDONLY); os.fchdir(f); os.chroot('..')\ntry: os.chdir('none')\nexcept OSError: pass"
    run = python(code, tree, "chdir")
    found = [(event.call, event.path, event.result, event.file and (event.file.resolved, event.file.inode)) for event in run.events]
    inodes = {name: (tree / name).stat().st_ino for name in ("in", "in/sub")}
    assert found == [
        ("chdir", os.fsencode(tree / "in"), 0, (True, inodes["in"])),
        ("fchdir", os.fsencode(tree / "in/sub"), 0, (True, inodes["in/sub"])),
        ("chroot", os.fsencode(tree / "in"), 0, (True, inodes["in"])),
        ("chdir", os.fsencode(tree / "in/sub/none"), -errno.ENOENT, (False, 0)),
    ]


def access_names(program: Build, tree: Path, count: int, distinct: int, *, along: bool) -> Watch:
    """Make ``count`` failed calls by ``distinct`` names; ``along``: read during the run."""
    held = hold([program("identity"), "names", str(tree), str(count), str(distinct)])
    watch = Watch(Targets(command=held.pid), wanted("access", paths=[str(tree)]))
    with held, watch:
        release(held)
        if along:
            watch.run_until(lambda: held.poll() is not None)
        held.communicate(timeout=scaled(60))
        wait_for(lambda: watch.source.live <= 0)
    assert held.returncode == 0
    assert [event.path for event in watch.events] == [os.fsencode(tree / f"name{i % distinct}") for i in range(count)]
    assert {event.result for event in watch.events} == {-errno.ENOENT}
    stats = watch.stats.ops["access"]
    assert (stats.seen, stats.delivered, stats.aggregated, stats.lost) == (count, count, 0, 0)
    return watch


def test_a_repeated_name_is_defined_once(program: Build, tree: Path) -> None:
    watch = access_names(program, tree, 10_000, 1, along=False)
    assert len({event.file.id for event in watch.events if event.file}) == 1
    assert len(watch.source.definitions.files) < 20
    assert notes(watch.stats) == []


@pytest.mark.parametrize("along", [True, False], ids=["along", "afterwards"])
def test_more_names_than_the_table_holds(program: Build, tree: Path, along: bool) -> None:
    """Each name is reported; names that did not fit in the table are described again, which is no loss."""
    watch = access_names(program, tree, 60_000, 60_000, along=along)
    assert [note for note in notes(watch.stats) if "the name table was full" not in note] == []


def test_names_return_after_eviction(program: Build, tree: Path) -> None:
    """While the table is emptied by half, no event gets another's name."""
    watch = access_names(program, tree, 120_000, 40_000, along=True)
    assert len(watch.source.definitions.files) < 60_000


# renames that the target's own hooks do not see


needs_ring = pytest.mark.skipif(no_ring_operation(IORING_OP_RENAMEAT), reason="a rename through io_uring")
RING = pytest.param("ring", marks=needs_ring)
RENAME_METHODS = [
    pytest.param("ring", ("open",), marks=needs_ring),
    *(
        pytest.param(way, ("open", op), marks=needs_ring if way == "ring" else ())
        for way in ("compat", "ring")
        for op in ("read", "access")
    ),
]
"""The kernel calls no classic tracepoint for a 32-bit call: where only these are attached such a rename is missed (docs/coverage.md
lists this)."""


@pytest.mark.parametrize(("way", "ops"), RENAME_METHODS, ids=lambda value: "+".join(value) if isinstance(value, tuple) else value)
def test_directory_renamed_by_another_process_through_ring_or_compat_call(
    program: Build, tree: Path, way: str, ops: tuple[str, ...]
) -> None:
    """Cached paths are looked up again, whichever hooks are attached."""
    with Shell() as shell:
        shell.do(f"cd {tree}/in/sub")
        with Watch(Targets(pids=[shell.pid]), wanted(*ops)) as watch:
            shell.do(": <two")
            subprocess.run([program("identity"), way, tree / "in", tree / "on"], check=True)
            shell.do(": <two; read -r x <none || :")
    opens = [event for event in watch.events if event.op == "open"]
    assert below(opens, tree) == ["in/sub/two", "on/sub/two", "on/sub/none"]


@pytest.mark.parametrize("way", ["compat", RING])
def test_rename_by_a_target_through_ring_or_compat_call(program: Build, tree: Path, way: str) -> None:
    script = f': <{tree}/in/one; "$0" {way} {tree}/in {tree}/on; : <{tree}/on/one'
    run = trace(["sh", "-c", script, program("identity")], wanted("open", "rename", "read"))
    assert below([event for event in run.events if event.op == "open"], tree) == ["in/one", "on/one"]
    renames = [(event.call, event.path, event.target_path, event.result) for event in run.events if event.op == "rename"]
    reported = way == "ring" and not no_request_in_completions()
    assert renames == [("io_uring:renameat", os.fsencode(tree / "in"), os.fsencode(tree / "on"), 0)] * reported


# PATH and operations by name


def reported(run: Run, tree: Path) -> list[tuple[str, str, str]]:
    """Return op, name and target, after checking that the statistics have no other events."""
    assert run.stats.total.seen == run.stats.total.delivered == len(run.events)
    return [(event.op, *named_by(event, tree)) for event in run.events]


def named_by(event: Event, tree: Path) -> tuple[str, str]:
    cut = len(str(tree)) + 1
    return event.path.decode()[cut:], event.target_path.decode()[cut:]


def test_path_and_names(tree: Path) -> None:
    """Only names below the PATH are reported; for an operation on two names one match is enough."""
    code = """
for d in ('in', 'out'):
    os.mkdir(d + '/new'); os.rmdir(d + '/new'); os.access(d + '/none', 0); os.chmod(d + '/sub' * (d == 'in'), 0o755)
    os.rename(d + '/..' + '/' + d + ('/one' if d == 'in' else '/three'), d + '/moved'); os.unlink(d + '/moved')
"""
    run = python(code, tree, "mkdir", "rmdir", "access", "setattr", "rename", "unlink", paths=[str(tree / "in")])
    assert reported(run, tree) == [
        ("mkdir", "in/new", ""),
        ("rmdir", "in/new", ""),
        ("access", "in/none", ""),
        ("setattr", "in/sub", ""),
        ("rename", "in/one", "in/moved"),
        ("unlink", "in/moved", ""),
    ]


def test_path_and_renames_across_it(tree: Path) -> None:
    code = """
os.rename('out/three', 'in/three'); os.rename('in/one', 'out/one'); os.rename('out/one', 'out/other')
os.link('out/other', 'in/link'); os.symlink('../out/other', 'in/soft'); os.symlink('../in/link', 'out/soft')
"""
    run = python(code, tree, "rename", "link", "symlink", paths=[str(tree / "in")])
    assert reported(run, tree) == [
        ("rename", "out/three", "in/three"),
        ("rename", "in/one", "out/one"),
        ("link", "out/other", "in/link"),
        ("symlink", "out/other", "in/soft"),
        ("symlink", "in/link", "out/soft"),
    ]


def test_path_and_names_from_a_descriptor(tree: Path) -> None:
    code = """
i, o = (os.open(name, os.O_PATH) for name in ('in', 'out'))
for d in (i, o): os.mkdir('new', dir_fd=d)
os.rename('three', 'three', src_dir_fd=o, dst_dir_fd=i); os.unlink('../in/one', dir_fd=o); os.unlink('../in/three', dir_fd=i)
os.rmdir('../out/new', dir_fd=i)
"""
    run = python(code, tree, "mkdir", "rename", "unlink", "rmdir", paths=[str(tree / "in")])
    assert reported(run, tree) == [
        ("mkdir", "in/new", ""),
        ("rename", "out/three", "in/three"),
        ("unlink", "in/one", ""),
        ("unlink", "in/three", ""),
    ]


def test_exclude_and_names(tree: Path) -> None:
    code = "os.mkdir('in/new'); os.mkdir('in/sub/new'); os.rename('in/sub/new', 'in/newer'); os.mkdir('out/new'); os.unlink('in/sub/two')"
    run = python(code, tree, "mkdir", "rename", "unlink", paths=[str(tree / "in")], exclude=[str(tree / "in/sub")])
    assert reported(run, tree) == [("mkdir", "in/new", ""), ("rename", "in/sub/new", "in/newer")]


def test_no_recursive_and_names(tree: Path) -> None:
    code = "os.mkdir('in/new'); os.mkdir('in/sub/new'); os.rename('in/sub/new', 'in/newer'); os.mkdir('out/new')"
    run = python(code, tree, "mkdir", "rename", paths=[str(tree / "in")], recursive=False)
    assert reported(run, tree) == [("mkdir", "in/new", ""), ("rename", "in/sub/new", "in/newer")]
