"""A run that saw nothing says so, with what may be the reason; one that saw something does not.

Apart from test_loss.py: nothing is lost here. Each run is arranged so that the reason is known.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Puppet, Result


def silent(done: Result, *reasons: str) -> bool:
    """It says that it saw nothing, and has all the reasons."""
    lines = done.err.decode().splitlines()
    perhaps = [line.removeprefix("perhaps: ") for line in lines if line.startswith("perhaps: ")]
    assert done.status == 0
    assert lines[lines.index("nothing was seen") + 1].startswith("perhaps: ")
    assert b"nothing lost" not in done.err
    assert [reason for reason in reasons if not any(reason in line for line in perhaps)] == []
    return True


def test_nobody_of_that_name(ft: Filetap, tmp_path: Path) -> None:
    """As when a script is meant that python3 was given."""
    script = tmp_path / "backup.py"
    script.touch()
    with ft.started("trace", "-c", "backup.py", "-f", "none") as run:
        run.until_said(b"attached in")
        os.system(f"python3 {script}")
        assert silent(run.end(signal.SIGTERM), "no process named backup.py ran", "interpreter")


def test_a_process_that_has_ended(ft: Filetap, puppet: Puppet) -> None:
    with ft.started("trace", "-p", puppet.pid, "-e", "mkdir", "-f", "none") as run:
        run.until_said(b"attached in")
        puppet.end()
        assert silent(run.end(), "-p have ended")


def test_an_empty_cgroup_and_one_that_goes(ft: Filetap, cgroup: Path, tmp_path: Path) -> None:
    (cgroup / "a").mkdir()
    (cgroup / "b").mkdir()
    stats = tmp_path / "account"
    with ft.started("trace", "--cgroup", cgroup / "a", "--cgroup", cgroup / "b", "-f", "none", "--stats", stats) as run:
        run.until_said(b"attached in")
        (cgroup / "b").rmdir()
        assert silent(run.end(signal.SIGTERM), f"cgroup /{cgroup.name}/a is empty", f"cgroup /{cgroup.name}/b is gone")
    said = json.loads(stats.read_text())
    assert [reason for reason in said["reasons"] if cgroup.name in reason] == said["reasons"][:2]
    assert any("removed at" in note for note in said["notes"])


@pytest.mark.parametrize("more", [["-f", "none"], ["--summary"]], ids=["stream", "summary"])
def test_no_regular_file(ft: Filetap, puppet: Puppet, more: list[str]) -> None:
    """What is read from a pipe and written to one is not told without --type."""
    with ft.started("trace", "-p", puppet.pid, "-e", "io", *more) as run:
        run.until_said(b"attached in")
        puppet.do("pass")
        assert silent(run.end(signal.SIGTERM), "--type")


def test_a_watch(ft: Filetap, tree: Path) -> None:
    assert silent(ft("watch", "--duration", "0.1", tree / "a", tree / "sub"), "no access to these PATHs")


def test_a_recording_says_it_to_whoever_asks(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    trace = tmp_path / "nothing.tap"
    assert silent(ft.trace("-o", trace, "-e", "mkdir", "--failed", "--", "true"), "--failed")
    asked = ft("summary", trace)
    assert asked.status == 0
    (line,) = asked.errors
    assert "nothing was seen while recording; perhaps: " in line
    assert "--failed" in line


def test_something_was_seen(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    done = ft.trace("-f", "none", "--stats", tmp_path / "account", tree, "--", "cat", tree / "a")
    assert b"perhaps" not in done.err
    assert json.loads((tmp_path / "account").read_text())["reasons"] == []
