"""``-o NAME.tap``: contents of a recording, how it ends, and what is left after kill -9.

Separate from test_record_disk.py, which has full disks. The oracles: the traced programs' own reports, and the same
run's own NDJSON.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.recording.reader import Trace
from tests.e2e.conftest import PYTHON, Filetap, Puppet, parse, path_of, wait_until, waiting

Script = Callable[[str], tuple[str, ...]]
PROMISED: Final = 0.25
"""Seconds after which events are on disk."""


def reported(trace: Trace) -> Counter[tuple[str, str | None]]:
    """Return op and path of each event. A live trace grows: each table is read once, events before their files."""
    events = columns(trace, "events", "op", "file")
    paths = dict(columns(trace, "files", "id", "path"))
    return Counter((op, paths.get(file)) for op, file in events)


def columns(trace: Trace, table: str, *names: str) -> list[tuple[Any, ...]]:
    """Return these columns of one reading, row by row."""
    read = trace.table(table)
    return list(zip(*(read.column(name).to_pylist() for name in names), strict=True))


def test_a_recording_has_the_same_events_as_the_stream(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    done = ft.trace("-f", "json", "-o", tmp_path / "t.tap", "--", "cat", tree / "a", tree / "sub" / "b")
    trace = Trace(tmp_path / "t.tap")
    assert (done.status, done.out) == (0, b"hello world\nbytes")
    assert reported(trace) == Counter((event["event"]["action"], path_of(event) or None) for event in done.events)
    assert ("open", str(tree / "a")) in reported(trace)


def test_without_f_there_is_no_stream(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    done = ft.trace("-o", f"{tmp_path}/t.tap/", "--", "cat", tree / "a")
    assert not done.events
    assert b"nothing lost" in done.err
    assert str(tree / "a") not in done.err.decode()


def test_the_metadata_have_the_run_and_its_end(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    stats = tmp_path / "account.json"
    ft.trace("-e", "open", "--stats", stats, "-o", tmp_path / "t.tap", "--", "cat", tree / "a")
    found = Trace(tmp_path / "t.tap").metadata
    assert found.statistics == json.loads(stats.read_text())
    assert found.statistics
    assert found.statistics["ops"]["open"]["delivered"] == sum(entry.events for entry in found.segments)
    assert (found.node, found.kernel) == (os.uname().nodename, os.uname().release)
    assert found.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (found.options["events"], found.options["level"]) == (["open"], "auto")
    assert found.command[-2:] == ["cat", str(tree / "a")]
    assert found.began < found.ended  # type: ignore[operator]
    before, realtime = found.clocks[0]
    assert abs(before + realtime - time.time_ns()) < 60 * 10**9


def test_watch_records(ft: Filetap, tree: Path, tmp_path: Path, puppet: Puppet) -> None:
    with ft.started("watch", "-o", tmp_path / "t.tap", tree / "a") as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        done = run.end(signal.SIGINT)
    assert done.status == 0
    assert reported(Trace(tmp_path / "t.tap"))["open", str(tree / "a")] == 1


def test_a_trace_can_be_read_while_it_is_written(ft: Filetap, tree: Path, tmp_path: Path, puppet: Puppet) -> None:
    with ft.started("trace", "-p", puppet.pid, "-o", tmp_path / "t.tap", tree) as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        wait_until(lambda: reported(Trace(tmp_path / "t.tap"))["open", str(tree / "a")] == 1)
        assert Trace(tmp_path / "t.tap").live
        run.end(signal.SIGTERM)
    assert reported(Trace(tmp_path / "t.tap"))["open", str(tree / "a")] == 1


def test_names_of_any_bytes_come_back(ft: Filetap, tmp_path: Path) -> None:
    name = bytes(sorted({*range(1, 256)} - {ord("/")}))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    ft.trace("-e", "open", "-o", tmp_path / "t.tap", "--", "sh", "-c", 'cat "$0"/*', tmp_path)
    files = Trace(tmp_path / "t.tap").table("files").to_pylist()
    assert os.fsencode(tmp_path) + b"/" + name in [row["path_bytes"] for row in files]


def test_only_traces_are_replaced(ft: Filetap, tmp_path: Path) -> None:
    (tmp_path / "mine.tap").mkdir()
    (tmp_path / "mine.tap" / "x").touch()
    for words in ([], ["--force"]):
        done = ft.trace("-o", tmp_path / "mine.tap", *words, "--", "touch", tmp_path / "ran")
        assert done.status == 2
        assert len(done.errors) == 1
    assert (tmp_path / "mine.tap" / "x").exists()
    assert not (tmp_path / "ran").exists()
    assert ft.trace("-o", tmp_path / "t.tap", "--", "true").status == 0
    assert "exists: give --force" in ft.trace("-o", tmp_path / "t.tap", "--", "true").errors[0]
    assert ft.trace("-o", tmp_path / "t.tap", "--force", "--", "true").status == 0


@pytest.mark.parametrize("way", [[], ["--flight-recorder", "10s"]])
def test_a_failed_start_replaces_no_trace(ft: Filetap, tmp_path: Path, way: list[str]) -> None:
    trace = tmp_path / "t.tap"
    assert ft.trace("-o", trace, "--", "true").status == 0
    before = contents(trace)
    assert ft.trace("-o", trace, "--force", *way, "--all", tmp_path / "none").status == 2
    assert contents(trace) == before
    assert list(tmp_path.iterdir()) == [trace]
    assert ft.trace("-o", trace, "--force", *way, "--", "false").status == 1
    assert contents(trace) != before
    assert list(tmp_path.iterdir()) == [trace]


def contents(trace: Path) -> dict[Path, bytes]:
    return {file.relative_to(trace): file.read_bytes() for file in trace.rglob("*") if file.is_file()}


def test_a_failed_start_leaves_no_folder(ft: Filetap, tmp_path: Path) -> None:
    assert ft.trace("-o", tmp_path / "t.tap", "-p", 2**22).status == 2
    assert not (tmp_path / "t.tap").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--keep", "7d"], "--keep requires a recording: give -o NAME.tap"),
        (["--flight-memory", "1G", "-o", "x.tap"], "--flight-memory requires --flight-recorder"),
        (["--flight-recorder", "60x", "-o", "x.tap"], "--flight-recorder 60x: give a time"),
        (["--flight-recorder", "60s", "--keep", "1d", "-o", "x.tap"], "--keep cannot be used with --flight-recorder"),
        (["--keep", "7 apples", "-o", "x.tap"], "--keep 7 apples: give an age"),
        (["--keep", "10K", "-o", "x.tap"], "--keep 10K: at least 64K"),
        (["--rotate-size", "many", "-o", "x.tap"], "--rotate-size many: give a size"),
        (["--rotate-time", "0s", "-o", "x.tap"], "--rotate-time 0s: give a time"),
        (["-o", "/nowhere/x.tap"], "/nowhere/x.tap: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(ft: Filetap, tmp_path: Path, words: list[str], message: str) -> None:
    done = ft.trace(*words, "--", "true", cwd=tmp_path)
    assert done.status == (1 if "nowhere" in message else 2)
    assert len(done.errors) == 1
    assert message in done.errors[0]
    assert not list(tmp_path.iterdir())


def test_a_folder_deleted_meanwhile_is_reported_in_one_line(ft: Filetap, tree: Path, tmp_path: Path, puppet: Puppet) -> None:
    stats = tmp_path / "account.json"
    with ft.started("trace", "-p", puppet.pid, "-o", tmp_path / "t.tap", "--stats", stats, tree) as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        wait_until(lambda: {op for op, _ in reported(Trace(tmp_path / "t.tap"))} == {"open", "close"})
        subprocess.run(["rm", "-r", tmp_path / "t.tap"], check=True)
        puppet.touch(tree / "a")
        done = run.end()
    assert done.status == 1
    assert len(done.errors) == 1
    assert "it was deleted" in done.errors[0]
    assert json.loads(stats.read_text())["ops"]["open"] | {"bytes": 0, "errors": 0} == {
        "seen": 2, "delivered": 1, "aggregated": 0, "lost": 1, "bytes": 0, "errors": 0,
    }  # fmt: skip


def test_segments_rotate_and_the_oldest_are_deleted(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    loop = f"import os\nfor i in range(60000): os.stat({str(tree / 'a')!r})"
    stats = tmp_path / "account.json"
    words = ("-e", "stat", "-o", tmp_path / "t.tap", "--rotate-size", "64K", "--keep", "128K", "--stats", stats)
    done = ft.trace(*words, tree, "--", PYTHON, "-S", "-c", loop)
    trace = Trace(tmp_path / "t.tap")
    delivered = json.loads(stats.read_text())["ops"]["stat"]["delivered"]
    assert done.status == 0
    assert trace.metadata.first > 1
    assert trace.metadata.dropped + trace.table("events").num_rows == delivered >= 60000
    assert sum(path.stat().st_size for path in (tmp_path / "t.tap").rglob("*")) < 512 << 10


# kill -9

WORK: Final = """
import mmap, struct
log = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 0)
fd, number = os.open(sys.argv[2], os.O_WRONLY), 0
while True:
    os.pwrite(fd, b"x", number)
    struct.pack_into("<Q", log, 8 + 8 * number, time.monotonic_ns())
    number += 1
    struct.pack_into("<Q", log, 0, number)
    if number % 64 == 0:
        time.sleep(0.001)
"""


class Work:
    """A process that writes bytes one by one, and stores in shared memory when each was written."""

    def __init__(self, script: Script, folder: Path) -> None:
        self.file, log = folder / "written", folder / "log"
        self.file.touch()
        log.write_bytes(b"")
        os.truncate(log, 64 << 20)
        with open(log, "r+b") as stream:
            self._log = mmap.mmap(stream.fileno(), 0)
        self.process = subprocess.Popen([*script(WORK), str(log), str(self.file)])

    @property
    def count(self) -> int:
        return int(struct.unpack_from("<Q", self._log)[0])

    def done_before(self, moment: float) -> int:
        """Return how many bytes had been written by then."""
        times = struct.unpack_from(f"<{self.count}Q", self._log, 8)
        return sum(one < moment * 1e9 for one in times)


@pytest.fixture
def work(script: Script, tmp_path: Path) -> Iterator[Work]:
    made = Work(script, tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


@pytest.mark.parametrize("number", range(8))
def test_after_kill_9_events_older_than_250_ms_are_kept(ft: Filetap, work: Work, tmp_path: Path, number: int) -> None:
    with ft.started("trace", "-e", "write", "-p", work.process.pid, "-o", tmp_path / "t.tap", "--rotate-size", "64K", work.file) as run:
        run.wait_ready()
        first = work.count
        time.sleep(random.Random(number).uniform(0, 1.7))
        waited = waiting(run.process.pid)
        time.sleep(0.3)
        killed, held_up = time.monotonic(), waiting(run.process.pid) - waited
        run.end(signal.SIGKILL)
    trace = Trace(tmp_path / "t.tap")
    assert "repaired" in trace.notes[0]
    assert trace.metadata.ended
    found = trace.table("events").column("offset").to_pylist()
    assert found == list(range(found[0], found[-1] + 1))
    assert found[0] <= first
    assert found[-1] + 1 >= work.done_before(killed - PROMISED - held_up)
    assert not trace.damages or [damage.why for damage in trace.damages] == ["an incomplete batch"]


# The flight recorder


def op_of(line: bytes) -> str:
    return str(json.loads(line)["event"]["action"])


def traces(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.tap"), key=lambda path: (len(path.name), path))


def test_a_flight_recorder_writes_at_the_end_and_on_request(ft: Filetap, tree: Path, tmp_path: Path, puppet: Puppet) -> None:
    words = ("-f", "json", "-p", puppet.pid, "-o", tmp_path / "t.tap", "--flight-recorder", "60s", tree)
    with ft.started("trace", *words) as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        assert [op_of(run.out.readline()) for _ in range(2)] == ["open", "close"], "printed events are kept, too"
        assert not traces(tmp_path)
        for made in (1, 2):
            run.process.send_signal(signal.SIGUSR1)
            wait_until(lambda made=made: len(traces(tmp_path)) == made and not Trace(traces(tmp_path)[-1]).live)  # type: ignore[misc]
        puppet.touch(tree / "sub" / "b")
        done = run.end(signal.SIGINT)
    assert [path.name for path in traces(tmp_path)] == ["t.tap", "t-2.tap", "t-3.tap"]
    opened = [reported(Trace(path))["open", str(tree / "sub" / "b")] for path in traces(tmp_path)]
    assert opened == [0, 0, 1]
    assert all(reported(Trace(path))["open", str(tree / "a")] == 1 for path in traces(tmp_path))
    assert len({Trace(path).metadata.uuid for path in traces(tmp_path)}) == 3
    stats = Trace(tmp_path / "t.tap").metadata.statistics
    assert stats
    assert stats["ops"]["open"] | {"bytes": 0} == {"seen": 1, "delivered": 1, "aggregated": 0, "lost": 0, "bytes": 0, "errors": 0}
    assert done.status == 0


def test_events_dropped_by_a_flight_recorder_are_counted(ft: Filetap, tree: Path, tmp_path: Path, puppet: Puppet) -> None:
    """Twenty events are kept for more than ten seconds, seven for a moment: the time until the end may be seconds on a busy machine."""
    words = ("-f", "json", "-e", "stat", "-o", tmp_path / "t.tap", "--flight-recorder", "10s", "-p", puppet.pid, tree)
    with ft.started("trace", *words) as run:
        run.wait_ready()
        puppet.do(f"[os.stat({str(tree / 'a')!r}) for _ in range(20)]")
        assert {op_of(run.out.readline()) for _ in range(20)} == {"stat"}
        time.sleep(10.1)
        puppet.do(f"[os.stat({str(tree / 'a')!r}) for _ in range(7)]")
        assert run.end(signal.SIGINT).status == 0
    trace = Trace(tmp_path / "t.tap")
    assert trace.metadata.statistics
    assert trace.metadata.statistics["ops"]["stat"]["delivered"] == 27
    assert (trace.metadata.dropped, trace.table("events").num_rows) == (20, 7)


def test_it_writes_when_the_command_fails_while_others_go_on(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    command = f"cat {tree}/a; (until [ -e {tmp_path}/go ]; do sleep 0.1; done; cat {tree}/sub/b) & exit 7"
    with ft.started("trace", "-o", tmp_path / "t.tap", "--flight-recorder", "60s", tree, "--", "sh", "-c", command) as run:
        wait_until(lambda: traces(tmp_path))
        assert run.process.poll() is None
        (tmp_path / "go").touch()
        done = run.end()
    assert done.status == 7
    assert [reported(Trace(path))["open", str(tree / "sub" / "b")] for path in traces(tmp_path)] == [0, 1]


def test_the_stream_goes_to_the_same_place_with_a_recording(ft: Filetap, tree: Path, tmp_path: Path, puppet: Puppet) -> None:
    with ft.started("trace", "-f", "json", "-p", puppet.pid, "-o", tmp_path / "t.tap", tree) as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        done = run.end(signal.SIGINT)
    assert [path_of(event) for event in parse(done.out) if event["event"]["action"] == "open"] == [str(tree / "a")]
