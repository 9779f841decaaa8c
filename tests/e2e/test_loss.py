"""Too fast, too many, interrupted: every event is delivered, aggregated or counted as lost, never twice or wrong.

Separate from test_end.py, because here the workload's own lines (tests/kernel/losses.c) are compared with the whole
trace.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from tests.e2e.conftest import POLL, WAIT, blocked_in, possible_cpus, wait_until
from tests.e2e.test_end import objects_of, still_there
from tests.e2e.traced import MEMORY, Line, Traced, balanced, moment, ring, sums

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap

CACHED: Final = 66_000
"""Files; a few more than the kernel's table of files holds."""
LOSSES: Final = Path(__file__).parent.parent / "kernel" / "losses.c"


@pytest.fixture(scope="session")
def losses(tmp_path_factory: pytest.TempPathFactory) -> str:
    binary = tmp_path_factory.mktemp("losses") / "losses"
    flags = ["-O2", "-Wall", "-Werror", "-pthread", "-D_GNU_SOURCE"]
    subprocess.run(["gcc", *flags, "-o", str(binary), str(LOSSES)], check=True)
    return str(binary)


@pytest.fixture
def memory() -> Iterator[Path]:
    """Create a directory on a file system in memory, for very many files."""
    path = Path(tempfile.mkdtemp(prefix="filetap-test-", dir="/dev/shm"))
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True)


Trace = Callable[..., Any]


@pytest.fixture
def trace(ft: Filetap, tmp_path: Path) -> Iterator[Trace]:
    """Return a function that starts a trace; its output is removed at the end, because pytest would keep it."""

    @contextmanager
    def start(words: Sequence[object], command: Sequence[object]) -> Iterator[Traced]:
        given = ["trace", *words, "-f", "json", "-o", tmp_path / "events.json", "--stats", tmp_path / "account.json", "--", *command]
        with (tmp_path / "truth").open("wb") as truth, (tmp_path / "errors").open("wb") as errors:
            streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": truth, "stderr": errors}
            process = subprocess.Popen([*ft.command, *map(str, given)], **streams, start_new_session=True)
        try:
            yield Traced(process, tmp_path)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    yield start
    for name in ("events.json", "truth"):
        (tmp_path / name).unlink(missing_ok=True)


@pytest.mark.parametrize("latency", ["--latency", "--no-latency"])
def test_a_stopped_reader_and_a_small_ring(trace: Trace, losses: str, tmp_path: Path, latency: str) -> None:
    """Eight threads at full speed: by task, file and operation, single plus aggregated events match what was done."""
    folder = tmp_path / "files"
    folder.mkdir()
    for file in range(5):
        (folder / str(file)).write_bytes(b"x" * 50)
    with trace(["--ring-size", ring(64), latency, folder], [losses, "storm", folder, 8, 5, 5000]) as run:
        wait_until(run.has_written)
        with run.stopped():
            run.let_work(0.3)
        run.finish()
    truth = {(row["thread"], row["path"], row["op"]): (row["count"], row["bytes"]) for row in run.printed()}
    assert len(truth) == 8 * 5 * 4
    assert sums(run.lines(), lambda line: (line.thread.id, line.file.path, line.event.action)) == truth
    for name, op in run.stats["ops"].items():
        rows = [values for (_, _, what), values in truth.items() if what == name]
        reported = Counter(dict.fromkeys((True, False), 0))
        for line in run.lines():
            reported[line.aggregated] += line.event.count * (line.event.action == name)
        assert (op["seen"], op["bytes"]) == tuple(map(sum, zip(*rows, strict=True)))
        assert (op["delivered"], op["aggregated"], op["lost"]) == (reported[False], reported[True], 0)
        assert min(reported.values()) > 0
    assert balanced(run.stats)


def test_aggregated_rows_have_times(trace: Trace, losses: str, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "0").write_bytes(b"x" * 50)
    with trace(["--ring-size", ring(64), "-e", "read", folder], [losses, "storm", folder, 8, 1, 40000]) as run:
        run.finish()
    stats = run.stats
    aggregated = [line for line in run.lines() if line.aggregated]
    assert aggregated
    assert all(run.began < moment(line.event.start) <= moment(line.event.end) < run.ended for line in aggregated)
    assert all(line.at == line.event.end for line in aggregated)
    assert run.began < moment(stats["began"]) < moment(stats["ended"]) < run.ended
    assert all(moment(stats["began"]) <= moment(line.event.start or line.at) for line in run.lines())
    assert all(moment(line.at) <= moment(stats["ended"]) for line in run.lines())


def test_a_query_reports_aggregated_events(ft: Filetap, losses: str, tmp_path: Path) -> None:
    folder, recorded = tmp_path / "files", tmp_path / "t.tap"
    folder.mkdir()
    (folder / "0").write_bytes(b"x" * 50)
    run = ft.trace("-e", "read", "-o", recorded, "--ring-size", ring(64), folder, "--", losses, "storm", folder, 8, 1, 40000)
    done = sum(row["count"] for row in map(msgspec.json.decode, run.out.splitlines()) if row["op"] == "read")
    answer = ft("query", recorded, "SELECT count(*) FROM events", "-f", "csv")
    sums = done - int(answer.out.split()[1])
    assert answer.errors == [
        f"filetap: {recorded}: {sums} events were aggregated while recording because the ring was full: see the table aggregated"
    ]
    assert sums > 0


def numbers(text: bytes) -> dict[int, list[int]]:
    """Return the numbers of the calls, by thread, in order; an incomplete last line is ignored."""
    found: dict[int, list[int]] = {}
    for line in text.rpartition(b"\n")[0].splitlines():
        event = msgspec.json.decode(line, type=Line)
        assert event.event.action == "read"
        assert not event.aggregated
        found.setdefault(event.thread.id, []).append(event.io.offset)
    return found


def test_killed_and_started_again(ft: Filetap, losses: str, tmp_path: Path) -> None:
    """The workload numbers its calls: each of the two runs has a sequence without a gap, and calls are missing in between."""
    file, outputs, stats = tmp_path / "file", [tmp_path / "first", tmp_path / "second"], tmp_path / "account"
    file.write_bytes(b"x")
    with subprocess.Popen([losses, "number", str(file), "3"], stdout=subprocess.PIPE) as workload:
        try:
            words = ("trace", "-f", "json", "-p", workload.pid, "-e", "pread64", file)
            with ft.started(*words, "-o", outputs[0]) as first:
                wait_until(lambda: outputs[0].exists() and outputs[0].stat().st_size > 1 << 20)
                first.end(signal.SIGKILL)
                killed = time.time()
            time.sleep(0.2)
            began = time.time()
            with ft.started(*words, "-o", outputs[1], "--stats", stats) as second:
                wait_until(lambda: outputs[1].exists() and outputs[1].stat().st_size > 1 << 20)
                assert second.end(signal.SIGINT).status == 0
                ended = time.time()
            workload.terminate()
            printed = workload.communicate(timeout=WAIT)[0]
        finally:
            workload.kill()
    truth = {row["thread"]: row["calls"] for row in map(msgspec.json.decode, printed.splitlines())}
    before, after = (numbers(output.read_bytes()) for output in outputs)
    assert len(truth) == 3
    assert before.keys() == after.keys() == truth.keys()
    for thread, calls in truth.items():
        for stretch in (before[thread], after[thread]):
            assert stretch == list(range(stretch[0], stretch[-1] + 1))
        assert before[thread][-1] + 1 < after[thread][0]
        assert after[thread][-1] < calls
    reported = msgspec.json.decode(stats.read_bytes())
    assert reported["ops"]["read"]["seen"] == reported["ops"]["read"]["delivered"] == sum(map(len, after.values()))
    assert list(reported["ops"]) == ["read"]
    times = [[moment(msgspec.json.decode(line, type=Line).at) for line in output.read_bytes().splitlines()[:-1]] for output in outputs]
    assert max(times[0]) < killed
    assert began <= moment(reported["began"]) <= min(times[1])
    assert max(times[1]) <= moment(reported["ended"]) <= ended
    assert moment(reported["ended"]) - moment(reported["began"]) == pytest.approx(reported["elapsed"], abs=0.5)


def check_reported_once(run: Traced, memory: Path, count: int, inodes: dict[int, str]) -> None:
    """Check files that are written once and read once: each line is about one of them and correct, and none is reported twice. Missing
    events are in the statistics."""
    ops = run.stats["ops"]
    reported = {"read": bytearray(count), "write": bytearray(count)}
    nameless = Counter({"read": 0, "write": 0})
    for line in run.lines():
        if not line.file.path:
            nameless[line.event.action] += line.event.count
            continue
        i = int(line.file.path.rpartition("/file")[2])
        reported[line.event.action][i] += line.event.count
        assert line.file.path == f"{memory}/{i // 1000}/file{i}"
        assert line.bytes == line.event.count * (i % 61 + 1)
        assert i % 1000 or line.file.inode == inodes[i]
    for name, op in ops.items():
        assert (op["seen"], op["bytes"]) == (count, sum(i % 61 + 1 for i in range(count)))
        assert max(reported[name]) == 1
        assert reported[name].count(0) == nameless[name] + op["lost"]
    undefined = [note for note in run.stats["notes"] if "an inode number and no path" in note]
    assert bool(undefined) == bool(nameless.total())


@pytest.mark.timeout(600)  # 50 s on two free cores
def test_files_five_times_as_many_as_the_cache_holds(trace: Trace, losses: str, memory: Path) -> None:
    """Each is written once and read once, long after it was evicted from the cache; its name gives the number of bytes. The workload
    waits for the events: none may be missing, however slow the machine."""
    count, kept, step = 5 * CACHED, 2 * CACHED, 10_000
    with trace(["-e", "write", "-e", "read", memory], [losses, "files", memory, count, kept, step]) as run:
        run.lead([last if last < kept else last - kept for last in range(step - 1, count + kept, step)])
        run.finish()
    assert {op["lost"] for op in run.stats["ops"].values()} == {0}
    assert balanced(run.stats)
    assert run.peak < MEMORY
    inodes = {row["file"]: row["inode"] for row in run.printed()}
    assert len(inodes) == count // 1000
    check_reported_once(run, memory, count, inodes)
    assert count <= run.stats["files"] <= 2 * count
    assert [note for note in run.stats["notes"] if "files were dropped" in note]


def test_a_flood_of_files(trace: Trace, losses: str, memory: Path) -> None:
    """Faster than they can be delivered: events that are not delivered are counted."""
    count = 150_000
    with trace(["-e", "write", "-e", "read", memory], [losses, "files", memory, count, CACHED]) as run:
        run.finish()
    assert balanced(run.stats)
    check_reported_once(run, memory, count, {row["file"]: row["inode"] for row in run.printed()})


def test_a_file_that_was_aggregated_keeps_its_name(trace: Trace, losses: str, memory: Path) -> None:
    """It is aggregated while filetap is stopped, and reported at the end, after twice as many other files as the cache holds. Those are
    created no faster than they are reported: a CPU ring has room for 4096."""
    count, step = 172_000, 2000
    words = ["-e", "write", "--ring-size", f"{256 * possible_cpus()}K", memory]
    with trace(words, [losses, "files", memory, count, 1000, step]) as run:
        run.follow(step - 1)
        with run.stopped():
            written = run.written()
            run.let_go(20)
            wait_until(lambda: len(run.printed()) == 42)
        wait_until(lambda: run.written() > written and blocked_in(run.pid, POLL))
        run.let_go(1)
        run.lead(range(22 * step - 1, count, step))
        run.finish()
    reported = Counter(dict.fromkeys(range(count), 0))
    for line in run.lines():
        reported[int(line.file.path.rpartition("/file")[2])] += line.event.count
    assert set(reported.values()) == {1}
    assert run.stats["ops"]["write"]["aggregated"] > 10_000


@pytest.mark.timeout(600)  # 20 s on two free cores
def test_forty_thousand_processes(trace: Trace, losses: str, tmp_path: Path) -> None:
    """The numbers of forks, exits and execs are exact, and each child's read is its own."""
    forks, execs = 40_000, 2_000
    (tmp_path / "file").write_bytes(b"x" * 64)
    with trace(["-e", "process", "-e", "pread64"], [losses, "children", tmp_path / "file", forks, execs]) as run:
        wait_until(run.has_written)
        objects = objects_of(run)
        run.finish()
    children = run.printed()
    reads = Counter((child["child"], child["size"]) for child in children)
    reported: dict[str, Counter[object]] = {name: Counter() for name in ("fork", "exit", "exec")}
    mine: Counter[object] = Counter()
    for line in run.lines():
        if line.event.action in reported:
            reported[line.event.action][line.io.result if line.event.action == "fork" else line.process.pid] += 1
        elif line.file.path == str(tmp_path / "file"):
            mine[line.process.pid, line.io.result] += 1
    command = set(reported["exit"]) - {child["child"] for child in children}
    assert len(children) == forks + execs
    assert mine == reads
    assert reported["fork"] == Counter(child["child"] for child in children)
    assert reported["exit"] == reported["fork"] + Counter(command)
    assert reported["exec"] == Counter(child["child"] for child in children if child["executed"]) + Counter(command)
    assert len(command) == 1
    stats = run.stats
    assert {name: op["seen"] for name, op in stats["ops"].items() if name in reported} == {
        "fork": forks + execs,
        "exit": forks + execs + 1,
        "exec": execs + 1,
    }
    assert balanced(stats)
    assert sum(op["lost"] + op["aggregated"] for op in stats["ops"].values()) == 0
    assert stats["processes"] == forks + execs + 1
    assert run.peak < MEMORY
    assert all(objects)
    assert still_there(*objects) == (set(), set())


def test_processes_that_were_aggregated_keep_their_pid(trace: Trace, losses: str, tmp_path: Path) -> None:
    """More processes than the kernel table holds, while filetap is stopped."""
    forks = 30_000
    (tmp_path / "file").write_bytes(b"x" * 64)
    words = ["-e", "pread64", "--ring-size", ring(16)]
    with trace(words, [losses, "children", tmp_path / "file", forks, 0]) as run:
        wait_until(lambda: run.printed_lines() > 0)
        with run.stopped():
            before = run.printed_lines()
            wait_until(lambda: run.printed_lines() > before + 20_000)
        run.finish()
    reported = sums((line for line in run.lines() if line.file.path == str(tmp_path / "file")), lambda line: line.process.pid)
    truth: Counter[object] = Counter()
    for child in run.printed():
        truth[child["child"]] += child["size"]
    assert {pid: moved for pid, (_, moved) in reported.items()} == truth
    assert run.stats["ops"]["read"]["aggregated"] > 17_000
    assert run.stats["ops"]["read"]["lost"] == 0
