"""``--level`` and ``--best-effort`` on this machine, whatever it allows: hooks that cannot attach are reported.

Separate from tests/kernel/test_vfs.py, which needs hooks that attach. tests/conftest.py finds out what this machine
allows.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import attaching
from tests.e2e.conftest import Filetap, Result
from tests.e2e.test_end import new_orphans
from tests.loaded import orphans


def calls(done: Result, folder: Path) -> list[tuple[str, str, bool]]:
    """Return the call, the name, and whether it is resolved, of the events below that directory."""
    found = [event for event in done.events if event.get("file", {}).get("path", "").startswith(f"{folder}/")]
    return [(e["event"]["call"], Path(e["file"]["path"]).name, e["file"].get("resolved", True)) for e in found]


def test_the_vfs_level(ft: Filetap, tmp_path: Path) -> None:
    """If it cannot attach: one line, nothing run, nothing left."""
    done = ft.trace("--level", "vfs", "-f", "json", "--", "mkdir", tmp_path / "new")
    if attaching():
        assert done.status == 0
        assert ("security_path_mkdir", "new", True) in calls(done, tmp_path)
        return
    (line,) = done.errors
    assert done.status == 1
    assert line.startswith("filetap: no VFS hook attaches on this kernel (lsm: ")
    assert "; fentry: " in line
    assert "; kprobe: " in line
    assert "give --level syscall, or give --best-effort" in line
    assert not (tmp_path / "new").exists()


def test_nothing_is_left_where_it_ends_so(ft: Filetap) -> None:
    before = orphans()
    ft.trace("--level", "vfs", "--", "true")
    assert new_orphans(before) == (set(), set())


def test_best_effort_goes_on_by_system_call(ft: Filetap, tmp_path: Path) -> None:
    stats = tmp_path / "account.json"
    words = ("--level", "vfs", "--best-effort", "-e", "mkdir", "-f", "json", "--stats", stats)
    done = ft.trace(*words, "--", "mkdir", tmp_path / "new")
    notes = json.loads(stats.read_text())["notes"]
    assert done.status == 0
    assert (tmp_path / "new").is_dir()
    if attaching():
        assert calls(done, tmp_path) == [("security_path_mkdir", "new", True)]
    else:
        assert calls(done, tmp_path) == [("mkdir", "new", False)]
        assert len([note for note in notes if "no VFS hook attaches on this kernel" in note]) == 1


@pytest.mark.parametrize("words", [(), ("--level", "auto")])
def test_auto_is_the_default_without_a_note(ft: Filetap, tmp_path: Path, words: tuple[str, ...]) -> None:
    """One event, resolved where hooks attach; and no note where they do not, because no requested event is missing."""
    done = ft.trace(*words, "-e", "mkdir", "-f", "json", "--", "mkdir", tmp_path / "new")
    assert done.status == 0
    assert calls(done, tmp_path) == [("mkdir", "new", bool(attaching()))]
    assert b"not seen" not in done.err
    assert b"attaches" not in done.err


def test_the_syscall_level_needs_no_hook(ft: Filetap, tmp_path: Path) -> None:
    done = ft.trace("--level", "syscall", "-e", "mkdir", "-f", "json", "--", "mkdir", tmp_path / "new")
    assert calls(done, tmp_path) == [("mkdir", "new", False)]


@pytest.mark.parametrize(("level", "op"), [("syscall", "permission"), ("syscall", "modify"), ("auto", "modify"), ("vfs", "close")])
def test_operations_that_a_level_cannot_report_are_refused(ft: Filetap, level: str, op: str) -> None:
    done = ft.trace("--level", level, "-e", op, "/etc", "--", "true")
    assert done.status == 2
    (line,) = done.errors
    assert f"not seen at --level {level}" in line


def test_permission_needs_a_hook(ft: Filetap, tmp_path: Path) -> None:
    """If it is requested by name at auto, it is required as at vfs."""
    (tmp_path / "watched").touch()
    done = ft.trace("-e", "permission", "-f", "json", tmp_path / "watched", "--", "cat", tmp_path / "watched")
    assert done.status == (0 if attaching() else 1)
    assert done.status == 0 or "no VFS hook attaches on this kernel" in done.errors[0]
    assert done.status == 0 or "cannot trace permission: " in done.errors[0]


@pytest.mark.parametrize("words", [("-e", "permission"), ("--level", "vfs", "-e", "modify")])
def test_best_effort_needs_something_to_go_on_with(ft: Filetap, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Otherwise it would wait for events that never come, and report that only at the end."""
    (tmp_path / "watched").touch()
    done = ft("watch", "--best-effort", "--duration", "0.2", *words, tmp_path / "watched")
    assert done.status == (0 if attaching() else 1)
    assert done.status == 0 or done.out == b""
    assert done.status == 0 or f"cannot trace {words[-1]}: " in done.errors[0]


def test_permission_together_with_system_calls(ft: Filetap, tmp_path: Path) -> None:
    """The advice works: without permission, or with --best-effort."""
    words = ("-e", "permission", "-e", "mkdir")
    done = ft.trace(tmp_path, *words, "--", "mkdir", tmp_path / "one")
    assert done.status == (0 if attaching() else 1)
    assert done.status == 0 or "remove -e permission, or give --best-effort" in done.errors[0]
    done = ft.trace("--best-effort", "-f", "json", tmp_path, *words, "--", "mkdir", tmp_path / "two")
    assert ("mkdir", "two", bool(attaching())) in calls(done, tmp_path)
