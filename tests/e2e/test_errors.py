"""Bad input: one clear line on standard error and status 2, and nothing is run, attached or written.

Separate from test_machine.py, where the machine is the cause. Each case names words of the line.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Puppet, Result


def one_line(done: Result, *needed: str) -> bool:
    """Check for status 2, nothing on standard output, and one line of filetap's with all these words."""
    text = done.err.decode()
    assert (done.status, done.out) == (2, b"")
    assert "Traceback" not in text
    line = text.splitlines()[-1]
    assert text.startswith("Usage:") or len(text.splitlines()) == 1
    assert line.startswith(("filetap: ", "Error: "))
    missing = [word for word in needed if word not in line]
    assert not missing, line
    return True


MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "no-target": (["trace"], ["-- COMMAND", "-p", "-c", "--cgroup", "--all"]),
    "no-target-but-a-path": (["trace", "/etc"], ["-- COMMAND", "filetap trace --all /etc", "filetap watch /etc"]),
    "no-target-but-a-command": (["trace", "ls"], ["filetap trace -- ls"]),
    "record-a-file": (["record", "-o", "x.json", "--", "true"], ["x.json", "must end in .tap"]),
    "nothing-behind-dashes": (["trace", "--"], ["command"]),
    "unknown-op": (["trace", "-e", "bogus", "--", "true"], ["-e bogus: no such operation", "-e list"]),
    "misspelt-op": (["trace", "-e", "raed", "--", "true"], ["-e raed", "did you mean read?"]),
    "unknown-op-none": (["trace", "-e", "none", "--", "true"], ["-e none"]),
    "empty-op": (["trace", "-e", "", "--", "true"], ["-e"]),
    "unknown-user": (["trace", "--user", "no-such-user", "--", "true"], ["no-such-user", "--user"]),
    "unknown-uid": (["trace", "--user", "3999999999", "--", "true"], ["3999999999"]),
    "unknown-cgroup": (["trace", "--cgroup", "no/such"], ["no/such", "--cgroup"]),
    "unknown-cgroup-id": (["trace", "--cgroup", "999999999999"], ["999999999999"]),
    "cgroup-elsewhere": (["trace", "--cgroup", "/tmp"], ["/tmp"]),
    "unknown-type": (["trace", "--type", "bogus", "--", "true"], ["bogus", "pipe", "socket"]),
    "unknown-format": (["trace", "-f", "xml", "--", "true"], ["xml", "table", "json", "none"]),
    "permission-of-nothing": (["trace", "-e", "open", "-e", "permission", "--", "true"], ["-e permission", "PATH"]),
    "path": (["trace", "/no/such/path", "--", "true"], ["/no/such/path", "No such file"]),
    "path-below-a-file": (["trace", "/etc/hostname/x", "--", "true"], ["/etc/hostname/x", "Not a directory"]),
    "exclude": (["trace", "--exclude", "/no/such/path", "--", "true"], ["/no/such/path"]),
    "pid": (["trace", "-p", "4194304"], ["4194304"]),  # PID_MAX_LIMIT: no process has it
    "pid-0": (["trace", "-p", "0"], ["0"]),
    "pid-negative": (["trace", "-p", "-1"], ["-1"]),
    "pid-word": (["trace", "-p", "self"], ["self"]),
    "pid-huge": (["trace", "-p", "99999999999999999999"], ["99999999999999999999"]),
    "comm-empty": (["trace", "-c", "", "--duration", "1"], ["-c"]),
    "duration-zero": (["trace", "--duration", "0", "--", "true"], ["--duration"]),
    "duration-negative": (["trace", "--duration", "-1", "--", "true"], ["--duration"]),
    "duration-nan": (["trace", "--duration", "nan", "--", "true"], ["--duration"]),
    "duration-minutes": (["trace", "--duration", "5m", "--", "true"], ["--duration 5m", "5min"]),
    "duration-word": (["trace", "--duration", "long", "--", "true"], ["long"]),
    "latency-word": (["trace", "--min-latency", "long", "--", "true"], ["--min-latency", "long"]),
    "latency-negative": (["trace", "--min-latency", "-1ms", "--", "true"], ["--min-latency"]),
    "latency-unmeasured": (["trace", "--min-latency", "1ms", "--no-latency", "--", "true"], ["--no-latency"]),
    "latency-huge": (["trace", "--min-latency", "99999999999999s", "--", "true"], ["--min-latency"]),
    "ring-word": (["trace", "--ring-size", "big", "--", "true"], ["--ring-size", "big"]),
    "ring-small": (["trace", "--ring-size", "1", "--", "true"], ["--ring-size", "at least"]),
    "ring-zero": (["trace", "--ring-size", "0", "--", "true"], ["--ring-size"]),
    "ring-huge": (["trace", "--ring-size", "8G", "--", "true"], ["--ring-size", "at most"]),
    "ring-absurd": (["trace", "--ring-size", "99999999999999999999G", "--", "true"], ["--ring-size"]),
    "user-without-command": (["trace", "--user", "root", "-p", "1"], ["--user", "COMMAND"]),
    "sandbox-without-command": (["trace", "--sandbox", "-p", "1"], ["--sandbox", "COMMAND"]),
    "no-wait-without-command": (["trace", "--no-wait", "-p", "1"], ["--no-wait", "COMMAND"]),
    "many-comms": (["trace", *["-c", "x"] * 9, "--duration", "1"], ["8", "-c"]),
    "unknown-option": (["trace", "--bogus"], ["--bogus"]),
    "unknown-command": (["bogus"], ["bogus"]),
    "watch-nothing": (["watch"], ["PATH"]),
    "watch-missing": (["watch", "/none/at/all"], ["/none/at/all", "--missing-ok"]),
    "watch-empty": (["watch", ""], ["a PATH is empty"]),
    "watch-below-a-file": (["watch", "--missing-ok", "/etc/passwd/x"], ["/etc/passwd", "not a directory"]),
    "watch-too-deep": (["watch", "--missing-ok", "/1/2/3/4/5/6/7/8/9"], ["9 components", "8"]),
    "watch-keep": (["watch", "--keep", "7d", "/etc"], ["--keep requires a recording: give -o NAME.tap"]),
    "watch-event": (["watch", "-e", "bogus", "/etc"], ["bogus"]),
    "watch-ring": (["watch", "--ring-size", "1", "/etc"], ["--ring-size", "at least"]),
    "doctor-argument": (["doctor", "bogus"], ["bogus"]),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(ft: Filetap, case: str) -> None:
    words, needed = MISTAKES[case]
    assert one_line(ft(*words), *needed)


def test_usage_names_the_command(ft: Filetap) -> None:
    assert ft("trace", "--bogus").err.startswith(b"Usage: filetap trace ")


def test_the_output_is_checked_before_anything_runs(ft: Filetap, tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path / "none" / "x", Path("/proc/x")):
        done = ft.trace("--force", "-o", output, "--", "touch", tmp_path / "ran")
        assert done.status in (1, 2)
        assert len(done.errors) == len(done.err.splitlines()) == 1
        assert str(output) in done.errors[0]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("before", [None, "kept"])
@pytest.mark.parametrize("command", ["trace", "watch"])
def test_a_mistake_leaves_no_output_in_the_way(ft: Filetap, tmp_path: Path, command: str, before: str | None) -> None:
    """The same command without the mistake needs no --force; an earlier file is unchanged."""
    output, stats = tmp_path / "events.json", tmp_path / "account.json"
    stats.write_text("earlier")
    if before is not None:
        output.write_text(before)
    words: list[str | Path] = ["-f", "json", "--stats", stats, "-o", output, *["--force"] * (before is not None)]
    assert one_line(ft(command, *words, tmp_path / "none", *["--all"] * (command == "trace")), "none")
    assert (output.read_text() if output.exists() else None) == before
    assert stats.read_text() == "earlier"


def test_a_process_that_has_just_ended(ft: Filetap) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert one_line(ft.trace("-p", gone.pid), str(gone.pid))


def test_a_zombie(ft: Filetap) -> None:
    """It is still in /proc, but there is nothing to trace."""
    with subprocess.Popen(["true"]) as zombie:
        while Path(f"/proc/{zombie.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
        done = ft.trace("-f", "none", "-p", zombie.pid)
    assert done.status in (0, 2)
    assert b"Traceback" not in done.err


def test_a_process_that_ends_meanwhile(ft: Filetap, puppet: Puppet) -> None:
    with ft.started("trace", "-f", "none", "-p", puppet.pid) as run:
        run.wait_ready()
        puppet.process.kill()
        done = run.end()
    assert done.status == 0
    assert b"\nperhaps: the processes of -p have ended\n" in done.err


def test_one_of_two_processes_ends(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    with (
        subprocess.Popen(["sleep", "60"]) as other,
        ft.started("trace", "-f", "json", "-e", "open", "-p", other.pid, "-p", puppet.pid, tree) as run,
    ):
        run.wait_ready()
        other.kill()
        other.wait()
        time.sleep(0.3)
        puppet.touch(tree / "a")
        puppet.end()
        done = run.end()
    assert [json.loads(line)["file"]["path"] for line in done.out.splitlines()] == [str(tree / "a")]


def test_a_process_that_ends_while_it_is_attached(ft: Filetap) -> None:
    """At any moment: a trace without events, or the line that it has ended. Never a hang."""
    for delay in (0.05, 0.2, 0.3, 0.4, 0.5):
        with subprocess.Popen(["sleep", str(delay)]) as short:
            done = ft.trace("-f", "none", "-p", short.pid)
        assert done.status == 0 or one_line(done, str(short.pid))


def test_a_cgroup_that_is_removed_meanwhile(ft: Filetap, cgroup: Path) -> None:
    below = cgroup / "short-lived"
    below.mkdir()
    with ft.started("trace", "-f", "none", "--cgroup", below) as run:
        run.wait_ready()
        below.rmdir()
        time.sleep(0.2)
        done = run.end(signal.SIGINT)
    assert done.status == 0


def test_a_path_that_is_removed_meanwhile(ft: Filetap, tree: Path) -> None:
    """The identity is taken when tracing begins; a new file of the same name is another file."""
    script = f"cat {tree}/a; rm {tree}/a; echo new >{tree}/a; cat {tree}/a"
    inode = str((tree / "a").stat().st_ino)
    keep = os.open(tree / "a", os.O_RDONLY)
    done = ft.trace("-f", "json", "-e", "read", tree / "a", "--", "sh", "-c", script)
    os.close(keep)
    assert {e["file"]["inode"] for e in done.events} == {inode}


def test_help_has_a_short_form(ft: Filetap) -> None:
    assert ft("-h").out == ft("--help").out
    assert ft("trace", "-h").out == ft("trace", "--help").out


def test_version(ft: Filetap) -> None:
    done = ft("--version")
    assert (done.status, done.err) == (0, b"")
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, check=False, cwd=Path(__file__).parent).stdout[:12]
    assert re.fullmatch(rb"filetap \d+\.\d+\.\d+( \(" + head + rb"(-dirty)?\))?\n", done.out)
