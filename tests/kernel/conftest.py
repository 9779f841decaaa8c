"""Helper programs in C, built once per run, and a clean cgroup: what several files of tests/kernel share.

Apart from lab.py, because pytest wants fixtures here. Next: lab.py.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filetap.targets import cgroup_root

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The name of a .c file beside this one to the program built from it."""
    folder = tmp_path_factory.mktemp("programs")

    def build(name: str) -> str:
        binary = folder / name
        if not binary.exists():
            flags = ["-O2", "-Wall", "-Werror", "-pthread", "-D_GNU_SOURCE"]
            subprocess.run(["gcc", *flags, "-o", str(binary), str(HERE / f"{name}.c")], check=True)
        return str(binary)

    return build


@pytest.fixture
def cgroup(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A cgroup2 directory, removed with all below it at the end."""
    path = cgroup_root() / f"filetap-test-{os.getpid()}"
    path.mkdir()
    yield path
    for below, _, _ in os.walk(path, topdown=False):
        for pid in (Path(below) / "cgroup.procs").read_text().split():
            (cgroup_root() / "cgroup.procs").write_text(pid)
        os.rmdir(below)
