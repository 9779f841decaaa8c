"""Whole recordings with troubles: the disk fills up, the folder is deleted, the clock jumps.

Separate from test_record_disk.py, which tests the writer alone. The oracles: the traced program's own counts, and the
statistics. No test may set this machine's clock, and no namespace has a CLOCK_REALTIME of its own; so a library stands
between filetap and the C library, and the kernel's clock, which events have, is the real one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.recording.reader import Trace
from tests.e2e.conftest import READY, Filetap, Puppet, Result, disk_of, wait_until

Script = Callable[[str], tuple[str, ...]]
Words = tuple[str | Path | int, ...]
WRITES: Final = 60_000
WORK: Final = """
fd = os.open(sys.argv[1], os.O_WRONLY)
for number in range(int(sys.argv[2])):
    os.pwrite(fd, b"x", number * 7919)
    if number == 15_000 and len(sys.argv) > 3:
        while not os.path.exists(sys.argv[3] + ".go"):
            time.sleep(0.01)
        if os.path.exists(sys.argv[3]):
            os.rename(sys.argv[3], sys.argv[3] + ".gone")  # at once: what filetap makes while rm is at work would stay
        os.system("rm -rf " + sys.argv[3] + ".gone")
"""
HELD: Final = 15_000
"""It waits after this many writes."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of half a megabyte."""
    with disk_of("512K", tmp_path) as disk:
        yield disk


def written(folder: Path) -> list[int]:
    return [offset // 7919 for offset in Trace(folder).table("events").column("offset").to_pylist()]


def balance(stats: Path) -> dict[str, int]:
    """Return the statistics of writes, after checking that all ops balance."""
    reported = json.loads(stats.read_text())["ops"]
    for op, counts in reported.items():
        assert counts["seen"] == counts["delivered"] + counts["aggregated"] + counts["lost"], op
    return dict(reported["write"])


def one_line(done: Result, *words: str) -> None:
    """Check that filetap printed one line in addition to the one that it waits."""
    (line,) = [line for line in done.errors if line != "filetap: tracing has ended; waiting for the command"]
    assert all(word in line for word in words), line
    assert b"Traceback" not in done.err


def deleted_by_its_command(ft: Filetap, program: tuple[str, ...], folder: Path, *words: str | Path) -> Result:
    """Run a command that deletes the recording, once all of its events so far are in it."""
    file = folder.parent / "written"
    file.touch()
    with ft.started("trace", *words, "-e", "write", "-o", folder, file, "--", *program, file, WRITES, folder) as run:
        run.wait_ready()
        wait_until(lambda: Trace(folder).table("events").num_rows > HELD)
        Path(f"{folder}.go").touch()
        return run.end()


def filled_by_another(ft: Filetap, program: tuple[str, ...], folder: Path, file: Path, stats: Path) -> Result:
    """Start a run whose disk another process fills, once the recording is larger than the space reserved for sealing."""
    nothing = file.parent / "nothing"
    words: Words = ("-e", "write", "--stats", stats, "-o", folder, file)
    with ft.started("trace", *words, "--", *program, file, WRITES, nothing) as run:
        run.wait_ready()
        wait_until(lambda: Trace(folder).table("events").num_rows > HELD)
        fill_up(folder.parent / "filler")
        Path(f"{nothing}.go").touch()
        return run.end()


def fill_up(file: Path) -> None:
    """Fill the disk completely."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(4096)):
            pass


def test_a_disk_that_fills_up(ft: Filetap, script: Script, small: Path, tmp_path: Path) -> None:
    file, stats, folder = tmp_path / "written", tmp_path / "account.json", small / "t.tap"
    file.touch()
    done = filled_by_another(ft, script(WORK), folder, file, stats)
    assert done.status == 1
    assert file.stat().st_size == (WRITES - 1) * 7919 + 1, "the command was not disturbed"
    one_line(done, str(folder), "No space left on device", "events already written are kept, the rest are counted as lost")
    counts = balance(stats)
    assert 0 < counts["delivered"] < counts["seen"]
    assert written(folder) == list(range(counts["delivered"]))
    result = ft("query", folder, "SELECT count(*) AS n FROM events", "-f", "csv")
    assert (result.status, result.out.split()) == (0, [b"n", b"%d" % counts["delivered"]])
    unsealed, lost = result.errors
    assert "was not sealed" in unsealed
    assert "No space left on device" in unsealed
    assert lost == f"filetap: {folder}: {counts['lost']} events were lost while recording"


def test_a_recording_on_a_full_disk_is_sealed_when_there_is_room(ft: Filetap, script: Script, small: Path, tmp_path: Path) -> None:
    file, folder = tmp_path / "written", small / "t.tap"
    file.touch()
    assert filled_by_another(ft, script(WORK), folder, file, tmp_path / "account.json").status == 1
    had, lost = written(folder), balance(tmp_path / "account.json")["lost"]
    subprocess.run(["mount", "-o", "remount,size=4M", small], check=True)
    result = ft("summary", folder)
    assert result.status == 0
    once, always = result.errors
    assert f"was not sealed: repaired, {len(had)} events can be read" in once
    assert always == f"filetap: {folder}: {lost} events were lost while recording"
    assert ft("summary", folder).errors == [always]
    assert written(folder) == had


def test_a_folder_that_the_traced_command_deletes(ft: Filetap, script: Script, tmp_path: Path) -> None:
    stats, folder = tmp_path / "account.json", tmp_path / "t.tap"
    done = deleted_by_its_command(ft, script(WORK), folder, "--stats", stats)
    assert done.status == 1
    one_line(done, str(folder), "it was deleted")
    counts = balance(stats)
    assert 2000 <= counts["delivered"] < counts["seen"]
    assert counts["lost"] > 0
    assert not folder.exists()


def test_a_folder_that_is_deleted_between_two_segments(ft: Filetap, script: Script, tmp_path: Path) -> None:
    stats, folder = tmp_path / "account.json", tmp_path / "t.tap"
    done = deleted_by_its_command(ft, script(WORK), folder, "--stats", stats, "--rotate-size", "64K")
    assert done.status == 1
    one_line(done, str(folder))
    balance(stats)
    assert not folder.exists()


def test_a_flight_recorder_without_room_reports_what_is_missing(ft: Filetap, script: Script, small: Path, tmp_path: Path) -> None:
    file, stats, folder = tmp_path / "written", tmp_path / "account.json", small / "t.tap"
    file.touch()
    words: Words = ("--flight-recorder", "60s", "-e", "write", "--stats", stats, "-o", folder, file)
    done = ft.trace(*words, "--", *script(WORK), file, WRITES)
    assert done.status == 1
    one_line(done, str(folder), "No space left on device")
    trace = Trace(folder)
    assert trace.table("events").num_rows + trace.metadata.dropped == balance(stats)["delivered"] == WRITES
    assert trace.metadata.dropped
    assert f"flight recorder: {trace.metadata.dropped} events did not fit in memory" in trace.metadata.notes


def test_a_flight_recorder_writes_the_rest_at_the_end(ft: Filetap, puppet: Puppet, small: Path, tree: Path) -> None:
    folder, filler = small / "t.tap", small / "filler"
    filler.write_bytes(b"x" * (500 << 10))
    with ft.started("trace", "-f", "json", "-e", "write", "-p", puppet.pid, "-o", folder, "--flight-recorder", "60s", tree) as run:
        run.wait_ready()
        puppet.do(f"f = os.open({str(tree / 'a')!r}, 1); os.pwrite(f, b'x', 0); os.close(f)")
        assert b"pwrite64" in run.out.readline(), "printed events are kept, too"
        run.process.send_signal(signal.SIGUSR1)
        text = run.read_until(b"No space left on device")
        filler.unlink()
        done = run.end(signal.SIGINT)
    assert done.status == 0
    (made,) = done.errors
    assert READY.sub(b"", text).decode() == f"filetap: flight recorder: {folder}: No space left on device\n"
    assert made.startswith("filetap: flight recorder: 1 events are in ")
    assert Trace(Path(made.rpartition(" in ")[2])).table("events").num_rows == 1


# A name of any bytes

ODD: Final = os.fsdecode(b"b\xffad\n\x1b[31m *?[x]'\".tap")


def test_a_folder_of_any_name(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / ODD
    done = ft.trace("-e", "open", "-o", folder, tree, "--", "cat", tree / "a")
    assert (done.status, done.errors) == (0, [])
    assert b"Traceback" not in done.err
    assert not list(folder.rglob("*.arrow")), "it is sealed"
    result = ft("query", folder, "SELECT path FROM events", "-f", "csv")
    assert (result.status, result.out.decode().split(), result.err) == (0, ["path", str(tree / "a")], b"")
    for command in ("summary", "replay"):
        result = ft(command, folder)
        assert (result.status, result.err) == (0, b"")
        assert str(tree / "a") in result.out.decode()


@pytest.mark.parametrize("command", [("query", "SELECT 1"), ("summary",), ("replay",), ("trace", "-o")], ids=str)
def test_an_odd_name_in_a_message_is_one_line(ft: Filetap, tmp_path: Path, command: tuple[str, ...]) -> None:
    if command[0] == "trace":
        (tmp_path / ODD).mkdir()
    result = ft(*command, tmp_path / ODD, "--", "true") if command[0] == "trace" else ft(command[0], tmp_path / ODD, *command[1:])
    assert result.status in (1, 2)
    one_line(result, "b\\xffad\\n\\x1b[31m")
    assert len(result.err.splitlines()) == 1
    assert b"\x1b" not in result.err


# A clock that jumps

JUMPER: Final = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* CLOCK_REALTIME, shifted by the seconds in the file JUMP. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	long seconds = 0;
	int result = syscall(SYS_clock_gettime, clock, now);
	FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("JUMP"), "r") : NULL;

	if (file) {
		if (fscanf(file, "%ld", &seconds) != 1)
			seconds = 0;
		fclose(file);
	}
	now->tv_sec += seconds;
	return result;
}
"""
JUMPS: Final = (0, -3600, 86400)
MEASURED: Final = 1.5
"""Seconds within which filetap reads the clock again."""


@pytest.fixture
def jumping(ft: Filetap, tmp_path: Path) -> Filetap:
    """Return filetap with a clock that ``tmp_path / "jump"`` sets."""
    library = tmp_path / "jumper.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, "-xc", "-"], input=JUMPER.encode(), check=True)
    return Filetap(("env", f"LD_PRELOAD={library}", f"JUMP={tmp_path / 'jump'}", *ft.command))


def boot() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def test_a_clock_that_jumps(ft: Filetap, jumping: Filetap, puppet: Puppet, tree: Path, tmp_path: Path) -> None:
    stats, folder = tmp_path / "account.json", tmp_path / "t.tap"
    moments = []
    with jumping.started("trace", "-e", "write", "-p", puppet.pid, "--stats", stats, "-o", folder, tree) as run:
        run.wait_ready()
        for number, jump in enumerate(JUMPS):
            (tmp_path / "jump").write_text(str(jump))
            time.sleep(MEASURED)
            before = boot()
            puppet.do(f"f = os.open({str(tree / 'a')!r}, 1); os.pwrite(f, b'x', {number}); os.close(f)")
            moments.append((before, boot(), time.time_ns() + jump * 10**9))
            # Events that are not read yet when the clock jumps get times by the new clock.
            wait_until(lambda: Trace(folder).table("events").num_rows == len(moments))
        done = run.end(signal.SIGINT)
    assert (done.status, done.errors) == (0, [])
    assert balance(stats)["delivered"] == len(JUMPS)
    reported = ft("query", folder, 'SELECT "offset", ts_ns AS ts FROM events ORDER BY "offset"', "-f", "json")
    rows: list[dict[str, Any]] = json.loads(reported.out)
    events = Trace(folder).table("events")
    times = dict(zip(*(events.column(name).to_pylist() for name in ("offset", "realtime")), strict=True))
    assert [row["offset"] for row in rows] == [0, 1, 2]
    for row, (before, after, wall) in zip(rows, moments, strict=True):
        assert before <= row["ts"] - times[row["offset"]] <= after, "the boot clock never jumps"
        assert abs(row["ts"] - wall) < 2 * 10**9 + after - before, "each event has the time of day of its moment"
    jumps = [round((b - a) / 10**9) for (_, a), (_, b) in pairwise(Trace(folder).metadata.clocks)]
    assert jumps == [later - jump for jump, later in pairwise(JUMPS)]
    for command in (("summary", folder, "--by", "time"), ("replay", folder), ("summary", folder)):
        result = ft(*command)
        assert (result.status, result.err) == (0, b"")
    lines = [json.loads(line) for line in ft("replay", folder, "-f", "json").out.splitlines()]
    assert [line["io"]["offset"] for line in lines] == [0, 1, 2], "in the order in which it was done"


def test_segments_go_by_their_age_though_the_clock_jumps(jumping: Filetap, puppet: Puppet, tree: Path, tmp_path: Path) -> None:
    """By the boot clock all are young: a jump of a day deletes none."""
    folder = tmp_path / "t.tap"
    words: Words = ("trace", "-e", "write", "-p", puppet.pid, "-o", folder, "--keep", "1h", "--rotate-time", "1s", tree)
    with jumping.started(*words) as run:
        run.wait_ready()
        for number, jump in enumerate(JUMPS):
            (tmp_path / "jump").write_text(str(jump))
            time.sleep(MEASURED)
            puppet.do(f"f = os.open({str(tree / 'a')!r}, 1); os.pwrite(f, b'x', {number}); os.close(f)")
        assert run.end(signal.SIGINT).status == 0
    trace = Trace(folder)
    assert trace.metadata.dropped == 0
    assert len(trace.metadata.segments) >= 2
    assert sorted(trace.table("events").column("offset").to_pylist()) == [0, 1, 2]


def test_a_recording_is_not_disturbed_by_its_disk_read_only_at_the_end(ft: Filetap, small: Path) -> None:
    """Nothing can be sealed: the recording stays readable."""
    folder = small / "t.tap"
    assert ft.trace("-o", folder, "--", "true").status == 0
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    assert ft("summary", folder).err == b""
    done = ft.trace("-o", small / "u.tap", "--", "true")
    assert done.status == 1
    one_line(done, "u.tap: Read-only file system")
    shutil.copytree(folder, small.parent / "copy.tap")
    assert ft("summary", small.parent / "copy.tap").out == ft("summary", folder).out
