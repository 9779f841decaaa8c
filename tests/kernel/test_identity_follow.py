"""Files that are moved out of a PATH or have another name outside: with --follow and without.

Separate from test_watch_changes.py, where a PATH is looked up again while tracing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from filetap.selection.targets import Targets
from tests.kernel.harness import Shell, Watch, wanted
from tests.kernel.trees import below, python

FOLLOW = pytest.mark.parametrize("follow", [True, False], ids=["follow", "stay"])


# --follow


def reading(shell: Shell, path: Path) -> None:
    shell.do(f": <{path}")


@contextmanager
def watching(tree: Path, **filters: Any) -> Iterator[tuple[Shell, Watch]]:
    """Trace the opens of files below ``in`` by a shell."""
    with Shell() as shell, Watch(Targets(pids=[shell.pid]), wanted("open", paths=[str(tree / "in")], **filters)) as watch:
        yield shell, watch


@FOLLOW
@pytest.mark.parametrize("by_other", [False, True], ids=["target", "stranger"])
def test_file_moved_out(tree: Path, follow: bool, by_other: bool) -> None:
    """Moved by a target or by another process, and then moved again."""
    with watching(tree, follow=follow) as (shell, watch):
        reading(shell, tree / "in/one")
        for old, new in (("in/one", "out/one"), ("out/one", "out/other")):
            if by_other:
                (tree / old).rename(tree / new)
            else:
                shell.do(f"mv {tree}/{old} {tree}/{new}")
            reading(shell, tree / new)
        reading(shell, tree / "out/three")
    assert below(watch.events, tree) == ["in/one", *["out/one", "out/other"] * follow]


@FOLLOW
def test_file_moved_out_while_open(tree: Path, follow: bool) -> None:
    code = "f = os.open('in/one', os.O_RDONLY); os.read(f, 1); os.rename('in/one', 'out/one'); os.read(f, 1); os.close(f)"
    run = python(code, tree, "open", "read", "close", paths=[str(tree / "in")], follow=follow)
    assert below(run.events, tree) == ["in/one", "in/one", *["out/one", "out/one"] * follow]
    assert run.stats.total.seen == run.stats.total.delivered == len(run.events)


@FOLLOW
def test_directory_moved_out(tree: Path, follow: bool) -> None:
    """Files of the directory that were seen before the move."""
    with watching(tree, follow=follow) as (shell, watch):
        reading(shell, tree / "in/sub/two")
        (tree / "in/sub").rename(tree / "out/sub")
        reading(shell, tree / "out/sub/two")
    assert below(watch.events, tree) == ["in/sub/two", *["out/sub/two"] * follow]


@FOLLOW
def test_hard_link_outside(tree: Path, follow: bool) -> None:
    """The link refers to the file that was below the PATH when tracing began."""
    os.link(tree / "in/one", tree / "out/link")
    with watching(tree, follow=follow) as (shell, watch):
        for name in ("out/link", "in/one", "out/link", "out/three"):
            reading(shell, tree / name)
    assert below(watch.events, tree) == [*["out/link"] * follow, "in/one", *["out/link"] * follow]


@FOLLOW
def test_moved_out_before_its_first_use(tree: Path, follow: bool) -> None:
    """A file and a directory, with a file in it."""
    with watching(tree, follow=follow) as (shell, watch):
        (tree / "in/one").rename(tree / "out/one")
        (tree / "in/sub").rename(tree / "out/sub")
        (tree / "out/sub/new").touch()
        for name in ("out/one", "out/sub/two", "out/sub/new", "out/three"):
            reading(shell, tree / name)
    assert below(watch.events, tree) == ["out/one", "out/sub/two", "out/sub/new"] * follow


@FOLLOW
def test_file_created_below_while_tracing(tree: Path, follow: bool) -> None:
    with watching(tree, follow=follow) as (shell, watch):
        shell.do(f"echo x >{tree}/in/new; ln {tree}/in/new {tree}/out/link; mv {tree}/in/new {tree}/out/new")
        reading(shell, tree / "out/link")
        reading(shell, tree / "out/new")
    assert below(watch.events, tree) == ["in/new", *["out/link", "out/new"] * follow]


def test_followed_without_recursion(tree: Path) -> None:
    """A file that is not a direct child is not followed either."""
    with watching(tree, follow=True, recursive=False) as (shell, watch):
        reading(shell, tree / "in/sub/two")
        (tree / "in/sub/two").rename(tree / "out/two")
        (tree / "in/one").rename(tree / "out/one")
        reading(shell, tree / "out/two")
        reading(shell, tree / "out/one")
    assert below(watch.events, tree) == ["out/one"]


@pytest.mark.parametrize("excluded", ["in/sub", "in/sub/two"])
def test_excluded_files_are_not_followed(tree: Path, excluded: str) -> None:
    with watching(tree, follow=True, exclude=[str(tree / excluded)]) as (shell, watch):
        reading(shell, tree / "in/sub/two")
        (tree / "in/sub/two").rename(tree / "out/two")
        reading(shell, tree / "out/two")
        reading(shell, tree / "in/one")
    assert below(watch.events, tree) == ["in/one"]


def test_followed_into_an_excluded_directory(tree: Path) -> None:
    with watching(tree, follow=True, exclude=[str(tree / "out")]) as (shell, watch):
        reading(shell, tree / "in/one")
        (tree / "in/one").rename(tree / "out/one")
        reading(shell, tree / "out/one")
        (tree / "out/one").rename(tree / "back")
        reading(shell, tree / "back")
    assert below(watch.events, tree) == ["in/one", "back"]


def test_a_new_file_under_a_followed_files_name_is_another_file(tree: Path) -> None:
    with watching(tree, follow=True) as (shell, watch):
        reading(shell, tree / "in/one")
        (tree / "in/one").rename(tree / "out/one")
        (tree / "out/one").unlink()
        (tree / "out/one").write_text("another")
        reading(shell, tree / "out/one")
    assert below(watch.events, tree) == ["in/one"]
