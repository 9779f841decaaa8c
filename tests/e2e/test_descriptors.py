"""Descriptors: the soft limit is raised, a traced command keeps its own, and a too low hard limit gives one error line.

Separate from test_machine.py, because here the machine lacks nothing. The oracle is ulimit in the traced command.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Result


def limited(ft: Filetap, limits: str, script: str, **names: str | Path) -> Result:
    return ft.shell(f"ulimit {limits} && {script}", **names)


def test_the_soft_limit_is_raised_and_the_command_keeps_its_own(ft: Filetap, tmp_path: Path) -> None:
    """64 is too low for any trace."""
    events = tmp_path / "events.json"
    done = limited(ft, "-Sn 64", 'filetap trace -f json -o "$OUT" -- sh -c "ulimit -Sn; ulimit -Hn"', OUT=events)
    hard = limited(ft, "-Sn 64", "ulimit -Hn").out.decode().strip()
    assert (done.status, done.out.decode().split()) == (0, ["64", hard]), done.err.decode()
    assert any(json.loads(line)["event"]["action"] == "open" for line in events.read_text().splitlines())


def test_more_paths_than_descriptors(ft: Filetap, tmp_path: Path) -> None:
    """They are opened a few at a time; the first and the last are tried."""
    paths = [tmp_path / f"file-{number:04}" for number in range(1500)]
    for path in paths:
        path.touch()
    done = limited(ft, "-n 600", 'filetap trace -f json -e open "$DIR"/file-* -- cat "$DIR"/file-0000 "$DIR"/file-1499', DIR=tmp_path)
    assert done.status == 0, done.err.decode()[-500:]
    assert done.called("open") == [("open", str(paths[0])), ("open", str(paths[-1]))]


@pytest.mark.parametrize("verb", ["trace", "watch", "top"])
@pytest.mark.parametrize("limit", [12, 30, 60, 120, 140])
def test_a_hard_limit_that_is_too_low(ft: Filetap, tmp_path: Path, verb: str, limit: int) -> None:
    """Wherever descriptors run out: one line that names the remedy, and the command is not run."""
    words = {"trace": 'trace -f none "$DIR" -- touch "$DIR/ran"', "watch": 'watch -r "$DIR"', "top": 'top -b -n 1 "$DIR"'}[verb]
    done = limited(ft, f"-n {limit}", f"filetap {words}", DIR=tmp_path)
    lines = done.err.decode().splitlines()
    assert (done.status, len(lines)) == (1, 1), done.err.decode()[-2000:]
    assert lines[0].startswith("filetap: ")
    assert f"{limit}" in lines[0]
    assert "ulimit -n" in lines[0]
    assert os.listdir(tmp_path) == []


def test_doctor_prints_the_limit(ft: Filetap) -> None:
    rows = {
        limits: {row["name"]: row for row in json.loads(limited(ft, limits, "filetap doctor --json").out)["requirements"]}["descriptors"]
        for limits in ("-Sn 64", "-n 300")
    }
    assert rows["-Sn 64"]["met"]
    assert not rows["-n 300"]["met"]
    assert "ulimit -n" in rows["-n 300"]["detail"]
