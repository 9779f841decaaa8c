"""The installed ``filetap watch``: its options, its formats, its ends.

Separate from tests/kernel/test_watch_*.py, which tests what is watched.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import Filetap, parse

if TYPE_CHECKING:
    from tests.e2e.conftest import Puppet, Result


def watched(ft: Filetap, script: str, *words: str | Path) -> Result:
    """Run a shell script during a watch; return the result."""
    with ft.started("watch", *words) as running:
        running.wait_ready()
        subprocess.run(["bash", "-c", script], check=True, stdout=subprocess.DEVNULL)
        return running.end(signal.SIGINT)


def reported(out: bytes, *ops: str) -> list[tuple[str, str]]:
    events: list[dict[str, Any]] = parse(out)
    return [(e["event"]["action"], e["file"]["path"]) for e in events if not ops or e["event"]["action"] in ops]


def test_a_touched_file(ft: Filetap, tree: Path) -> None:
    """A table on standard output; the statistics and the start line on standard error."""
    done = watched(ft, f"cat {tree}/a {tree}/sub/b", tree / "a")
    assert done.status == 0
    rows = done.out.decode().splitlines()
    assert (head := rows[0].split())[0] == "TIME"
    assert head[2:4] == ["PID", "COMM"]
    assert {row.split()[-1] for row in rows[1:] if "->" not in row} == {f"{tree}/a"}
    assert all(row.split()[2] == "cat" for row in rows[1:])
    assert done.messages.startswith(b"op ")
    assert f"nothing lost: {len(rows) - 1} seen = {len(rows) - 1} delivered" in done.err.decode()


def test_event_choice_and_output_file(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "events.json"
    output.write_text("old")
    words = ("-f", "json", "-e", "open", "-e", "namespace", "-o", output, "--stats", tmp_path / "account")
    assert "--force" in ft("watch", *words, "--duration", "1", tree).errors[0]
    done = watched(ft, f"cat {tree}/a; mv {tree}/a {tree}/b; rm {tree}/b", *words, "--force", tree)
    assert (done.status, done.out) == (0, b"")
    assert reported(output.read_bytes()) == [("open", f"{tree}/a"), ("rename", f"{tree}/a"), ("unlink", f"{tree}/b")]
    assert json.loads((tmp_path / "account").read_text())["ops"].keys() == {"open", "rename", "unlink"}


def test_executing_counts(ft: Filetap, tree: Path) -> None:
    program = tree / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = watched(ft, f"{program}; cd {tree}; ./program", "-f", "json", "-e", "exec", program)
    assert [name for op, name in reported(done.out, "exec")] == [str(program)] * 2


@pytest.mark.parametrize("recursive", [True, False])
def test_recursive(ft: Filetap, tree: Path, recursive: bool) -> None:
    options = ["-r"] if recursive else []
    done = watched(ft, f": <{tree}/a; : <{tree}/sub/b; : <{tree}/sub/deep/c", "-f", "json", "-e", "open", *options, tree)
    assert [name for _, name in reported(done.out)] == [f"{tree}/{name}" for name in (["a", "sub/b", "sub/deep/c"] if recursive else ["a"])]


@pytest.mark.parametrize("follow", [True, False])
def test_follow(ft: Filetap, tree: Path, tmp_path: Path, follow: bool) -> None:
    options = ["--follow"] if follow else []
    done = watched(ft, f"mv {tree}/a {tmp_path}/away; : <{tmp_path}/away", "-f", "json", "-e", "open", *options, tree)
    assert [name for _, name in reported(done.out)] == [f"{tmp_path}/away"] * follow


def test_wait(ft: Filetap, tree: Path) -> None:
    soon = tree / "not" / "yet" / "there"
    done = watched(
        ft, f"mkdir -p {soon.parent}; echo x >{soon}; cat {soon}", "-f", "json", "-e", "write", "-e", "open", "--missing-ok", soon
    )
    assert reported(done.out) == [("open", str(soon)), ("write", str(soon)), ("open", str(soon))]


@pytest.mark.parametrize("latency", [True, False])
def test_latency_is_measured_on_request(ft: Filetap, tree: Path, puppet: Puppet, latency: bool) -> None:
    with ft.started("watch", "-f", "json", "-e", "open", *["--latency"] * latency, tree) as running:
        running.wait_ready()
        puppet.touch(tree / "a")
        done = running.end(signal.SIGTERM)
    (event,) = parse(done.out)
    assert ("duration" in event["event"]) == latency


def test_duration_and_nothing_seen(ft: Filetap, tree: Path) -> None:
    began = time.monotonic()
    done = ft("watch", "-f", "none", "--duration", "0.5", tree)
    assert (done.status, done.out) == (0, b"")
    assert b"\nnothing was seen\nperhaps: " in done.err
    assert time.monotonic() - began > 0.5


def test_its_own_accesses_do_not_count(ft: Filetap, tree: Path) -> None:
    done = ft("watch", "-r", "-f", "json", "-o", tree / "events", "--duration", "0.5", tree)
    assert done.status == 0
    assert (tree / "events").read_bytes() == b""


def test_standard_output_that_ends(ft: Filetap, tree: Path) -> None:
    done = ft.shell(f"(sleep 1; while sleep 0.05; do : <{tree}/a; done) & p=$!; filetap watch -f json {tree} | head -1; kill $p")
    assert len(done.out.splitlines()) == 1
    assert b"Traceback" not in done.err


def test_help_is_quick(ft: Filetap) -> None:
    """The best of five, compared with what Python and click alone need on this machine."""
    alone = Filetap((sys.executable, "-c", "import click"))
    assert min(spent(ft, "watch", "--help") for _ in range(5)) < 3 * min(spent(alone) for _ in range(5))


def spent(run: Filetap, *words: str) -> float:
    """Return CPU seconds of children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run(*words).status == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
