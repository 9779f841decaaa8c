"""Aggregation in the kernel: exact numbers of events, bytes and failures, and no silent loss.

Separate from test_counts.py, because no single events are reported here. Expected values come from what the workloads
report they did, and how long they were made to wait.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from filetap.analysis import summary
from filetap.analysis.aggregation import Accumulated, of_kernel
from filetap.capture.aggregate_maps import AggregateMaps
from filetap.capture.kernel_source import KernelSource
from filetap.capture.options import SUMS, Options
from filetap.capture.outlet import Outlet
from filetap.capture.session import Session
from filetap.core import wire
from filetap.core.batch import Batch
from filetap.core.sink import SummingSink
from filetap.core.statistics import Statistics
from filetap.kernel.loader import Object
from filetap.kernel.maps import fifo_scheduling
from filetap.selection.filters import Filters
from filetap.selection.targets import Targets
from tests.kernel.harness import READING, Nowhere, hold, names_requests, release, wanted
from tests.timeouts import scaled


class Totals(Nowhere, SummingSink):
    """Sums by each kind of group, how often they were read, and how many there were."""

    def __init__(self) -> None:
        super().__init__()
        self.by = {by: Accumulated(by) for by in summary.KEYS}
        self.times = self.summed_up = 0

    def summed(self, keys: wire.Records, values: wire.Records, batch: Batch) -> None:
        self.times += 1
        self.summed_up += len(keys)
        self._check(keys["bucket"], values)
        for total in self.by.values():
            total.add(of_kernel(keys, values, batch))

    @staticmethod
    def _check(bucket: NDArray[np.uint16], values: wire.Records) -> None:
        """Check that the longest duration is in its own bucket, and that the rest of the sum fits the other buckets."""
        count, longest, total = (values[name].astype(np.int64) for name in ("count", "max", "total"))
        timed = bucket != wire.NO_BUCKET
        assert (summary.bucket_of(longest[timed]) == bucket[timed]).all()
        assert (longest[timed] * count[timed] >= total[timed]).all()
        assert (longest <= total).all()
        assert (longest[count == 1] == total[count == 1]).all()
        assert not longest[~timed].any()

    def rows(self, by: str) -> list[dict[str, Any]]:
        table = self.by[by].summary(1 << 20)
        for name in ("first", "last"):
            table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows


class Output(threading.Thread):
    """Read the command's output while it runs, so that it never blocks."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__()
        assert process.stdout
        self._stream, self._text = process.stdout, b""
        self.start()

    def run(self) -> None:
        self._text = self._stream.read()

    def to_the_end(self) -> bytes:
        self.join(scaled(10))
        return self._text


class Aggregated:
    """One aggregated command. ``every``: seconds between two reads of the sums. ``read``: whether they are also read before the end. The
    sums are read once before the command begins; after each later read with new sums a command in step mode gets a line, because it
    may wait for it."""

    def __init__(
        self, command: list[str], filters: Filters, *, every: float = 0.05, sums: int = SUMS, read: bool = True, in_step: bool = False
    ) -> None:
        self.totals = Totals()
        held = hold(command)
        chosen = Options(Targets(command=held.pid), filters, level="syscall", aggregate=True, sums=sums, arguments=not read)
        with held:
            source = KernelSource(chosen)
            session = Session(source, [Outlet(self.totals)], sums=self.totals)
            session.sum_interval = every
            session.run_once()
            release(held)
            output = Output(held)
            end = time.monotonic() + scaled(60)
            while (held.poll() is None or source.live > 0) and time.monotonic() < end:
                if read:
                    self._pump(session, held, in_step=in_step)
                else:
                    time.sleep(0.01)
            self.output = output.to_the_end()
            self.slots = int(source.reader.cpu_rings.produced().sum())
            self.stats: Statistics = session.finish()
        assert held.returncode == 0
        self.pid = held.pid

    def _pump(self, session: Session, held: subprocess.Popen[bytes], *, in_step: bool) -> None:
        before = self.totals.summed_up
        session.run_once()
        if in_step and self.totals.summed_up > before and held.stdin:
            with suppress(BrokenPipeError):
                os.write(held.stdin.fileno(), b"\n")


def test_concurrent_reads_of_four_threads_are_all_counted(program: Callable[[str], str], tmp_path: Path) -> None:
    """Four threads add to the sums while they are read all the time: no event is lost or counted twice."""
    threads, files, calls = 4, 50, 5000
    for file in range(files):
        (tmp_path / str(file)).write_bytes(b"x" * 64)
    began = time.time_ns()
    command = [program("losses"), "matrix", str(tmp_path), *map(str, (threads, files, calls, calls // 5))]
    run = Aggregated(command, wanted("pread64", paths=[str(tmp_path)]), every=0.0, in_step=True)
    stats = run.stats.ops["read"]
    assert (stats.seen, stats.aggregated, stats.lost, stats.delivered) == (threads * files * calls,) * 2 + (0, 0)
    assert run.totals.times >= 2 + 4, "no sums were read meanwhile"  # before, at the end, and for each time that it waited
    assert run.slots == 0
    paths = {row["path"]: row for row in run.totals.rows("file")}
    assert set(paths) == {os.fsencode(tmp_path / str(file)) for file in range(files)}
    assert {row["count"] for row in paths.values()} == {threads * calls}
    assert stats.bytes == sum(row["bytes"] for row in paths.values()) == written(run.output)
    assert [(row["directory"], row["count"]) for row in run.totals.rows("directory")] == [(os.fsencode(tmp_path), stats.seen)]
    assert [(row["pid"], row["command"]) for row in run.totals.rows("process")] == [(run.pid, b"losses")]
    assert [(row["op"], row["count"], row["errors"]) for row in run.totals.rows("op")] == [("read", stats.seen, 0)]
    for row in paths.values():
        assert began <= row["first"] <= row["last"] <= time.time_ns()
        assert 0 < row["p50"] <= row["p90"] <= row["p99"] <= row["max"]
        assert row["count"] * row["p50"] < row["total"] * 20


@names_requests
def test_requests_that_complete_on_several_cpus_at_once(program: Callable[[str], str], tmp_path: Path) -> None:
    """Kernel workers complete requests of one thread on one file: each sum still has only one writer."""
    (tmp_path / "file").write_bytes(b"x")
    count = 8000
    command = [program("losses"), "pending", str(tmp_path / "file"), str(count), "4096"]
    if subprocess.run(command, check=False).returncode == 77:
        pytest.skip("io_uring is not to be had here")
    run = Aggregated(command, wanted("io_uring:read", paths=[str(tmp_path)]))
    (row,) = run.totals.rows("file")
    assert (row["count"], row["bytes"]) == (count, count)
    assert row["max"] * count >= row["total"] > row["max"] > 0


def written(output: bytes) -> int:
    """Return the bytes that the workload reports it has read."""
    return sum(json.loads(line)["bytes"] for line in output.splitlines() if line.startswith(b"{"))


@pytest.mark.parametrize("sums", [64, 4096])
def test_more_groups_than_the_table_holds(program: Callable[[str], str], tmp_path: Path, sums: int) -> None:
    """90,000 pairs of thread and file: events without room are lost and reported as lost. Some sums are read between the rounds."""
    threads, files, calls = 300, 300, 3
    for file in range(files):
        (tmp_path / str(file)).write_bytes(b"x" * 64)
    command = [program("losses"), "matrix", str(tmp_path), *map(str, (threads, files, calls, 1))]
    run = Aggregated(command, wanted("pread64", paths=[str(tmp_path)]), sums=sums, in_step=True)
    stats = run.stats.ops["read"]
    assert stats.seen == stats.aggregated + stats.lost == threads * files * calls
    assert stats.delivered == 0
    assert sum(row["count"] for row in run.totals.rows("file")) == stats.aggregated
    assert stats.aggregated > sums
    notes = [int(note.split()[0]) for note in run.stats.notes if "lost" in note]
    assert notes == [stats.lost] * bool(stats.lost)


def test_new_files_wake_the_reader(program: Callable[[str], str], tmp_path: Path) -> None:
    """50,000 failed names, then the workload waits until some sums are read: this happens long before the interval ends."""
    count = 50_000
    run = Aggregated([program("losses"), "vain", str(tmp_path), str(count), str(count)], wanted("openat"), every=600.0, in_step=True)
    named = {row["path"]: row for row in run.totals.rows("file") if (row["path"] or b"").startswith(os.fsencode(tmp_path))}
    stats = run.stats.ops["open"]
    assert stats.seen == stats.aggregated + stats.lost
    assert run.totals.times > 2  # before and at the end they are read in any case
    assert stats.lost == 0
    assert {row["errors"] for row in named.values()} <= {0, 1}
    assert sum(row["errors"] for row in run.totals.rows("file")) == stats.errors >= count
    assert set(named) <= {os.fsencode(tmp_path / f"none{i}") for i in range(count)}


def test_percentiles_of_known_waits(tmp_path: Path) -> None:
    """Reads of a FIFO: 90 short ones, 8 of 20 ms, 2 of 100 ms, and the end of file. Each lasted at least as long as its writer waited,
    and no longer than the reader's own clock says."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    waits = [2_000_000] * 90 + [20_000_000] * 8 + [100_000_000] * 2
    run = Aggregated([sys.executable, "-S", "-E", "-c", READING + FED, str(fifo), json.dumps(waits)], wanted("read", types=["pipe"]))
    least, most = sorted([*waits, 0]), sorted(json.loads(run.output))
    row = next(row for row in run.totals.rows("file") if row["path"] == os.fsencode(fifo))
    assert (row["count"], row["bytes"], len(most)) == (len(least), len(waits), len(least))
    for name, percent in summary.PERCENTILES.items():
        place = -(-percent * len(least) // 100) - 1
        assert least[place] * 15 / 16 <= row[name] <= most[place] * 17 / 16, name
        assert row[name] <= row["max"], name
    assert least[-1] <= row["max"] <= most[-1], "exact"
    assert sum(least) <= row["total"] <= sum(most)


FED = """
import json, mmap, sys
waits, reader, turn = json.loads(sys.argv[2]), os.getpid(), mmap.mmap(-1, 1)
if not os.fork():
    into = os.open(sys.argv[1], os.O_WRONLY)
    for number, wait in enumerate(waits):
        while turn[0] != number:
            time.sleep(0.0005)
        wait_until_it_reads(reader, 3)
        time.sleep(wait / 1e9)
        os.write(into, b"x")
    os._exit(0)
os.dup2(os.open(sys.argv[1], os.O_RDONLY), 3)
took, byte = [], b"x"
while byte:
    turn[0] = len(took)
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    byte = os.read(3, 1)
    took.append(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - before)
print(took)
"""


def test_names_outside_the_paths_are_dropped(tmp_path: Path) -> None:
    """A failed open is filtered by its name, in user space; a rename by both of its names."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "file").write_bytes(b"x")
    script = """
    cd "$1"; for i in 1 2 3; do : < in/none; : < out/none; done
    mv in/file out/file; mv out/file in/file2; : < in/file2
    """
    run = Aggregated(["/bin/bash", "-c", script, "sh", str(tmp_path)], wanted("open", "rename", paths=[str(tmp_path / "in")]))
    rows = {row["path"]: row for row in run.totals.rows("file")}
    assert rows[os.fsencode(tmp_path / "in/none")]["errors"] == 3
    assert os.fsencode(tmp_path / "out/none") not in rows
    opened, renamed = run.stats.ops["open"], run.stats.ops["rename"]
    assert (opened.seen, opened.aggregated, opened.errors) == (4, 4, 3)
    assert (renamed.seen, renamed.delivered) == (2, 2)


def test_undescribed_processes_keep_their_pid(program: Callable[[str], str], tmp_path: Path) -> None:
    """Arguments so long that few of 8000 children can be described while user space does not read."""
    (tmp_path / "file").write_bytes(b"x" * 64)
    command = [program("losses"), "children", str(tmp_path / "file"), "8000", "0", "x" * 3500]
    run = Aggregated(command, wanted("pread64", paths=[str(tmp_path)]), read=False)
    assert sum(row["command"] is None for row in run.totals.rows("process")) > 1000
    reported = Counter({row["pid"]: row["bytes"] for row in run.totals.rows("process")})
    assert reported == Counter({line["child"]: line["size"] for line in map(json.loads, run.output.splitlines())})


def test_read_sums_are_removed_and_the_rest_stays() -> None:
    """Use the two maps in turn, without a program."""
    outer = Object("process")
    try:
        outer.configure(np.zeros(1, wire.CONFIG), np.zeros(wire.MAX_OPCODES + 512, wire.CALL_RECORD))
        outer.resize({"definitions": os.sysconf("SC_PAGE_SIZE")})
        outer.resize({"sums_one": 10_000, "sums_other": 10_000})
        outer.keep_tasks_in_table()
        outer.load(set())
        sums = AggregateMaps(outer.map_fd("aggregates"), outer.map_fd("sums_one"), outer.map_fd("sums_other"))
        keys = np.zeros(9000, wire.AGGREGATE_KEY)
        keys["task"] = np.arange(9000)
        values = np.ones(9000, wire.AGGREGATE)
        sums._used.put_all(keys, values)
        found = sums.take()
        assert sorted(found[0]["task"].tolist()) == list(range(9000))
        assert found[1]["count"].sum() == 9000
        assert [len(part) for part in (*sums.take(), *sums.take())] == [0, 0, 0, 0]
    finally:
        outer.close()


def test_the_cpu_is_kept_only_briefly() -> None:
    """The thread gets the CPU for itself only briefly, except from real-time tasks."""
    before = os.sched_getscheduler(0), os.nice(0)
    with fifo_scheduling():
        assert os.sched_getscheduler(0) == os.SCHED_FIFO
    assert (os.sched_getscheduler(0), os.nice(0)) == before


MOVES = """
import ctypes, os, sys
source = os.open(sys.argv[1], os.O_RDONLY)
target = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT, 0o600)
out, into = os.pipe()
out2, into2 = os.pipe()
libc = ctypes.CDLL(None)
text = ctypes.create_string_buffer(4000)
vector = (ctypes.c_size_t * 2)(ctypes.addressof(text), 4000)
os.sendfile(target, source, 0, 5000)
os.copy_file_range(source, target, 7000)
os.splice(source, into, 3000)
libc.tee(out, into2, 2000, 0)
libc.vmsplice(into, vector, 1, 0)
os.preadv(source, [bytearray(100), bytearray(20)], 0)
os.pwritev(target, [b"12345", b"67"], 0)
"""


def test_bytes_of_every_call_that_moves_some(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x" * 20_000)
    files = [str(tmp_path / name) for name in ("source", "target")]
    ops = {"sendfile": 5000, "copy_file_range": 7000, "splice": 3000, "tee": 2000, "vmsplice": 4000, "read": 120, "write": 7}
    calls = [op for op in ops if op not in ("read", "write")] + ["preadv", "preadv2", "pwritev", "pwritev2"]
    chosen = wanted(*calls, types=["pipe"])
    run = Aggregated([sys.executable, "-S", "-E", "-c", MOVES, *files], chosen)
    assert {row["op"]: row["bytes"] for row in run.totals.rows("op")} == ops
    assert {op: row.bytes for op, row in run.stats.ops.items()} == ops
