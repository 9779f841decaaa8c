"""A run without events reports this with likely reasons; a run with events does not.

Separate from test_loss.py: no event is lost here. Each run is arranged so that the reason is known.
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
    """Check that it reports no events, and all these reasons."""
    lines = done.err.decode().splitlines()
    perhaps = [line.removeprefix("perhaps: ") for line in lines if line.startswith("perhaps: ")]
    assert done.status == 0
    assert lines[lines.index("nothing was seen") + 1].startswith("perhaps: ")
    assert b"nothing lost" not in done.err
    assert [reason for reason in reasons if not any(reason in line for line in perhaps)] == []
    return True


def test_no_process_of_that_name(ft: Filetap, tmp_path: Path) -> None:
    """As when a script is named that python3 runs."""
    script = tmp_path / "backup.py"
    script.touch()
    with ft.started("trace", "-c", "backup.py", "-f", "none") as run:
        run.read_until(b"attached in")
        os.system(f"python3 {script}")
        assert silent(run.end(signal.SIGTERM), "no process named backup.py ran", "interpreter")


def test_a_process_that_has_ended(ft: Filetap, puppet: Puppet) -> None:
    with ft.started("trace", "-p", puppet.pid, "-e", "mkdir", "-f", "none") as run:
        run.read_until(b"attached in")
        puppet.end()
        assert silent(run.end(), "-p have ended")


def test_an_empty_cgroup_and_one_that_is_removed(ft: Filetap, cgroup: Path, tmp_path: Path) -> None:
    (cgroup / "a").mkdir()
    (cgroup / "b").mkdir()
    stats = tmp_path / "account"
    with ft.started("trace", "--cgroup", cgroup / "a", "--cgroup", cgroup / "b", "-f", "none", "--stats", stats) as run:
        run.read_until(b"attached in")
        (cgroup / "b").rmdir()
        assert silent(run.end(signal.SIGTERM), f"cgroup /{cgroup.name}/a is empty now", f"cgroup /{cgroup.name}/b is gone")
    reported = json.loads(stats.read_text())
    assert [reason for reason in reported["reasons"] if cgroup.name in reason] == reported["reasons"][:2]
    assert any("removed at" in note for note in reported["notes"])


@pytest.mark.parametrize("more", [["-f", "none"], ["--summary"]], ids=["stream", "summary"])
def test_no_regular_file(ft: Filetap, puppet: Puppet, more: list[str]) -> None:
    """Reads from and writes to pipes are not reported without --type."""
    with ft.started("trace", "-p", puppet.pid, "-e", "io", *more) as run:
        run.read_until(b"attached in")
        puppet.do("pass")
        assert silent(run.end(signal.SIGTERM), "--type")


def test_a_watch(ft: Filetap, tree: Path) -> None:
    assert silent(ft("watch", "--duration", "0.1", tree / "a", tree / "sub"), "no access to these PATHs")


def test_a_query_of_a_recording_reports_it(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    trace = tmp_path / "nothing.tap"
    assert silent(ft.trace("-o", trace, "-e", "mkdir", "--failed", "--", "true"), "--failed")
    result = ft("summary", trace)
    assert result.status == 0
    (line,) = result.errors
    assert "nothing was seen while recording; perhaps: " in line
    assert "--failed" in line


def test_something_was_seen(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    done = ft.trace("-f", "none", "--stats", tmp_path / "account", tree, "--", "cat", tree / "a")
    assert b"perhaps" not in done.err
    assert json.loads((tmp_path / "account").read_text())["reasons"] == []
