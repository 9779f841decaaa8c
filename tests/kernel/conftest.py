"""Fixtures of tests/kernel: C programs built once per run, small trees of files, a clean cgroup."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from filetap.selection.targets import cgroup_root
from tests.kernel import programs


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Return a function that builds a C program of this directory by its name, and returns its path."""
    return lambda name: str(programs.build(name))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return _make_tree(tmp_path, "in/one", "in/two", "in/sub/three", "in/sub/deep/four", "out/five", "out/sub/six")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a directory in which ``in`` is the PATH of a test and ``out`` is not."""
    return _make_tree(tmp_path, "in/one", "in/sub/two", "out/three")


def _make_tree(path: Path, *names: str) -> Path:
    """Create files that contain their own names."""
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("hello")
    return path


@pytest.fixture
def cgroup(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Create a cgroup2 directory; it is removed with everything below it at the end."""
    path = Path(mkdtemp(prefix="filetap-test-", dir=cgroup_root()))
    yield path
    for below, _, _ in os.walk(path, topdown=False):
        for pid in (Path(below) / "cgroup.procs").read_text().split():
            (cgroup_root() / "cgroup.procs").write_text(pid)
        os.rmdir(below)
