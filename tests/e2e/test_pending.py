"""Calls under way, from the command line: on which file does a process hang?

Separate from tests/kernel/test_pending_calls.py, which has every call. The oracle is what the commands are made to wait
for, and /proc/PID/syscall, which shows that they wait.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import filetap
from tests.e2e.conftest import Filetap, blocked_in, parse, path_of, unread, wait_until

OPENAT, FLOCK = "257", "73"


class Hung:
    """``cat`` in the open of a FIFO, and ``flock`` in that of a lock."""

    def __init__(self, folder: Path) -> None:
        self.fifo, self.lock = folder / "fifo", folder / "lock"
        os.mkfifo(self.fifo)
        self.lock.touch()
        self._holder = subprocess.Popen(["flock", self.lock, "sleep", "600"], start_new_session=True)
        wait_until(self._is_locked)
        self.cat = subprocess.Popen(["cat", self.fifo])
        self.flock = subprocess.Popen(["flock", self.lock, "true"])
        wait_until(lambda: blocked_in(self.cat.pid, OPENAT) and blocked_in(self.flock.pid, FLOCK))

    def _is_locked(self) -> bool:
        return subprocess.run(["flock", "-n", self.lock, "true"], check=False).returncode != 0

    def end(self) -> None:
        os.killpg(self._holder.pid, signal.SIGKILL)
        for process in (self._holder, self.cat, self.flock):
            process.kill()
            process.wait()


@pytest.fixture
def hung(tmp_path: Path) -> Iterator[Hung]:
    made = Hung(tmp_path)
    yield made
    made.end()


def pending(events: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return the pending calls by thread."""
    found = {event["thread"]["id"]: event for event in events if event["event"].get("kind") == "pending"}
    assert len(found) == sum(event["event"].get("kind") == "pending" for event in events)
    return found


def by_pid(hung: Hung) -> tuple[str | int, ...]:
    return "-p", hung.cat.pid, "-p", hung.flock.pid


def test_a_process_that_hangs_before_the_trace(ft: Filetap, hung: Hung, tmp_path: Path) -> None:
    stats = tmp_path / "account"
    done = ft.trace(*by_pid(hung), "-f", "json", "--pending", "--duration", "1", "--stats", stats)
    lines = pending(parse(done.out))
    assert set(lines) == {hung.cat.pid, hung.flock.pid}
    for process, action, call, file in ((hung.cat, "open", "openat", hung.fifo), (hung.flock, "lock", "flock", hung.lock)):
        event = lines[process.pid]
        assert (event["event"]["action"], event["event"]["call"], path_of(event)) == (action, call, str(file))
        assert "duration" not in event["event"], "its begin is unknown"
        assert event["event"]["duration_min"] >= 10**9
        assert "result" not in event.get("io", {})
        assert (event["process"]["pid"], event["process"]["parent"]["pid"]) == (process.pid, os.getpid())
    assert lines[hung.flock.pid]["file"]["inode"] == str(hung.lock.stat().st_ino)
    reported = json.loads(stats.read_text())
    assert (reported["ops"], reported["pending"]) == ({}, {"open": 1, "lock": 1})
    assert b"2 calls were pending at the end: 1 open, 1 lock\n" in done.err


def test_the_line_of_the_table(ft: Filetap, hung: Hung) -> None:
    """It has the usual columns: pending in place of the result, and a lower bound of the duration."""
    done = ft.trace(*by_pid(hung), "--pending", "--duration", "1")
    head, *lines = done.out.decode().splitlines()
    assert len(lines) == 2
    for line, process, file in zip(
        sorted(lines, key=lambda line: int(line.split()[1])), (hung.cat, hung.flock), (hung.fifo, hung.lock), strict=True
    ):
        words = line.split()
        assert int(words[1]) == process.pid
        assert line[: head.index("RESULT") + 6].endswith("pending")
        assert re.fullmatch(r">\d+(\.\d)?s", words[-2])
        assert line.endswith(f" {file}")


COMMAND = """
cat "$0/fifo" & one=$!
flock "$0/lock" true & two=$!
echo $one $two
exec sleep 600 < /dev/null
"""


def test_what_a_launched_command_waits_for(ft: Filetap, hung: Hung, tmp_path: Path) -> None:
    """Until the tracing ends, because the command goes on; a shell that waits for its children is in no call on a file."""
    words = ("--type", "all", "-f", "json", "-o", tmp_path / "events", "--", "bash", "-c", COMMAND, tmp_path)
    with ft.started("trace", *words) as run:
        one, two = map(int, run.out.readline().split())
        wait_until(lambda: blocked_in(one, OPENAT) and blocked_in(two, FLOCK))
        run.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: b'"pending"' in (tmp_path / "events").read_bytes())
        assert run.process.poll() is None
        for pid in (one, two):
            os.kill(pid, signal.SIGKILL)
        done = run.end(signal.SIGTERM)
    events = parse((tmp_path / "events").read_bytes())
    lines = pending(events)
    assert {tid: path_of(event) for tid, event in lines.items()} == {one: str(hung.fifo), two: str(hung.lock)}
    for event in lines.values():
        assert 0 < event["event"]["duration"] < 600 * 10**9
    assert b"pending at the end" not in done.err, "the commands have ended"
    seen, delivered = re.findall(rb"nothing lost: (\d+) seen = (\d+) delivered", done.err)[0]
    assert int(seen) == int(delivered) == len(events) - len(lines)


def test_a_command_that_has_ended_leaves_none(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    stats = tmp_path / "account"
    done = ft.trace("--type", "all", "--pending", "--stats", stats, "-o", tmp_path / "events", "--", "cat", tree / "a")
    assert json.loads(stats.read_text())["pending"] == {}
    assert "filetap: no call is pending" in done.err.decode().splitlines()
    assert b"pending" not in (tmp_path / "events").read_bytes()


@pytest.mark.parametrize("words", [("-f", "none"), ("--summary",), ("-o", "t.tap")], ids=" ".join)
def test_where_no_events_are_printed(ft: Filetap, hung: Hung, tmp_path: Path, words: tuple[str, ...]) -> None:
    """With --pending as a table before the statistics; without it they are counted there."""
    words = tuple(str(tmp_path / word) if word.endswith(".tap") else word for word in words)
    done = ft.trace(*by_pid(hung), *words, "--pending", "--duration", "0.2")
    assert done.out == b""
    lines = [line for line in done.err.decode().splitlines() if " pending " in line and not line.startswith("2 calls were pending")]
    assert sorted(line.rpartition(" ")[2] for line in lines) == sorted(map(str, (hung.fifo, hung.lock)))
    silent = ft.trace(*by_pid(hung), *words, "--duration", "0.2", *(["--force"] if "-o" in words else []))
    for result in (done, silent):
        assert b"2 calls were pending at the end: 1 open, 1 lock\n" in result.err
    assert b" pending " not in silent.err.replace(b"2 calls were pending at the end", b"")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("trace", "--all", "--failed"), "--failed"),
        (("trace", "--all", "-e", "exit", "-e", "fork", "-e", "close_range"), "-e"),
        (("watch", "-e", "fault", "/etc/hostname"), "-e"),
        (("watch", "-e", "exit", "/etc/hostname"), "-e"),
    ],
    ids=str,
)
def test_options_that_would_list_nothing_are_refused(ft: Filetap, words: tuple[str, ...], message: str) -> None:
    done = ft(*words, "--pending", "--duration", "0.1")
    (line,) = done.err.decode().splitlines()
    assert (done.status, done.out) == (2, b"")
    assert line.startswith("filetap: ")
    assert message in line


def test_a_recording_has_a_table_of_them(ft: Filetap, hung: Hung, tmp_path: Path) -> None:
    trace = tmp_path / "t.tap"
    words = (*by_pid(hung), "-f", "json", "-o", trace, "--duration", "0.5")
    done = ft.trace(*words)
    assert [parse(line)[0] for line in ft("replay", trace, "-f", "json").out.splitlines()] == parse(done.out)
    assert ft("replay", trace).out.count(b" pending ") == 2
    assert ft("replay", trace, "-e", "lock").out.count(b" pending ") == 1
    rows = query_rows(ft, trace, "SELECT pid, op, call, path, result, duration, duration_min FROM pending ORDER BY op")
    lines = pending(parse(done.out))
    expected = [(hung.flock.pid, "lock", "flock", hung.lock), (hung.cat.pid, "open", "openat", hung.fifo)]
    assert [(row["pid"], row["op"], row["call"], row["path"]) for row in rows] == [(*who, str(file)) for *who, file in expected]
    assert [row["duration_min"] for row in rows] == [lines[row["pid"]]["event"]["duration_min"] for row in rows]
    assert {(row["result"], row["duration"]) for row in rows} == {(None, None)}
    assert query_rows(ft, trace, "SELECT count(*) AS n FROM events") == [{"n": 0}]
    assert ft("summary", trace).errors == ["filetap: no call returned; 2 calls that began: see the table pending of filetap query"]
    with filetap.open(trace) as recording:
        assert recording.pending.num_rows == 2
        assert recording.pending.schema == recording.events.schema
        assert (recording.metadata[0].statistics or {})["pending"] == {"open": 1, "lock": 1}


def query_rows(ft: Filetap, trace: Path, sql: str) -> list[dict[str, Any]]:
    done = ft("query", trace, sql, "-f", "json")
    assert (done.status, done.err) == (0, b"")
    rows: list[dict[str, Any]] = json.loads(done.out)
    return rows


def test_a_trace_that_has_no_such_table(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    """A trace of an older version."""
    trace = tmp_path / "t.tap"
    ft.trace("-o", trace, "--", "cat", tree / "a")
    before = ft("replay", trace, "-f", "json").out
    shutil.rmtree(trace / "pending")
    assert query_rows(ft, trace, "SELECT * FROM pending") == []
    done = ft("replay", trace, "-f", "json")
    assert (done.status, done.out, done.err) == (0, before, b"")
    assert ft("summary", trace).err == b""


def test_a_flight_recorder_writes_calls_under_way(ft: Filetap, hung: Hung, tmp_path: Path) -> None:
    """When a trace is requested, and at the end."""
    with ft.started("trace", *by_pid(hung), "-o", tmp_path / "t.tap", "--flight-recorder", "60s") as run:
        run.wait_ready()
        run.process.send_signal(signal.SIGUSR1)
        wait_until((tmp_path / "t.tap" / "trace.json").exists)
        wait_until(lambda: ft("query", tmp_path / "t.tap", "SELECT 1").status == 0)
        run.end(signal.SIGTERM)
    rows = query_rows(ft, tmp_path / "t.tap", "SELECT DISTINCT path FROM pending ORDER BY path")
    assert [row["path"] for row in rows] == [str(hung.fifo), str(hung.lock)]


def test_watch_reports_processes_that_wait_for_a_file(ft: Filetap, hung: Hung) -> None:
    with ft.started("watch", "-f", "json", hung.lock) as run:
        run.wait_ready()
        run.process.send_signal(signal.SIGUSR2)
        event = json.loads(run.out.readline())
        assert run.process.poll() is None
        done = run.end(signal.SIGINT)
    assert (event["event"]["kind"], event["process"]["pid"], path_of(event)) == ("pending", hung.flock.pid, str(hung.lock))
    assert b"1 call was pending at the end: 1 lock\n" in done.err


def test_a_recording_and_a_summary_report_them_on_standard_error(ft: Filetap, hung: Hung, tmp_path: Path) -> None:
    for words in (("-o", tmp_path / "t.tap"), ("--summary",)):
        with ft.started("trace", *by_pid(hung), *words) as run:
            run.wait_ready()
            run.process.send_signal(signal.SIGUSR2)
            text = run.read_until(str(hung.lock).encode()).decode()
            assert f"{hung.fifo}\n" in text
            run.end(signal.SIGINT)
    assert query_rows(ft, tmp_path / "t.tap", "SELECT count(*) AS n FROM pending") == [{"n": 4}], "at the request, and at the end"


def test_top_as_text(ft: Filetap, hung: Hung) -> None:
    with ft.started("top", "--batch", "--interval", "0.2", *by_pid(hung)) as run:
        run.wait_ready()
        run.process.send_signal(signal.SIGUSR2)
        assert str(hung.fifo) in run.read_until(str(hung.lock).encode()).decode()
        run.end(signal.SIGINT)


def test_the_signal_is_handled_from_the_start_on(ft: Filetap, tmp_path: Path) -> None:
    """As soon as filetap has installed its handler; and the command does not inherit it."""
    command = ("bash", "-c", 'grep -E "Sig(Ign|Cgt|Blk)" /proc/self/status; exec cat "$0"', str(tmp_path / "fifo"))
    os.mkfifo(tmp_path / "fifo")
    with ft.started("trace", "-f", "none", "--", *command) as run:
        wait_until(lambda: handles_signal(run.pid, signal.SIGUSR2))
        while not unread(run.out):
            run.process.send_signal(signal.SIGUSR2)
            time.sleep(0.001)
        lines = [run.out.readline() for _ in range(3)]
        run.process.send_signal(signal.SIGUSR2)
        os.close(os.open(tmp_path / "fifo", os.O_WRONLY))
        done = run.end()
    assert done.status == 0, done.err.decode()
    assert all(int(line.split()[1], 16) >> signal.SIGUSR2 - 1 & 1 == 0 for line in lines)


def handles_signal(pid: int, number: int) -> bool:
    """Return whether it blocks or catches the signal."""
    with contextlib.suppress(FileNotFoundError):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return bool((int(status["SigBlk"], 16) | int(status["SigCgt"], 16)) >> number - 1 & 1)
    return False
