"""Counts are exact at full speed, and where there is no room seen = delivered + aggregated + lost.

Separate, because the oracle is the workload's own count and there are too many events to keep.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filetap.selection.filters import Filters
from filetap.selection.targets import Targets
from tests.kernel.harness import CPUS, SMALLEST_RING, Counter, Watch, hold, release, wanted
from tests.timeouts import scaled, wait_for

KIB = 1024


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 50)
    return path


def count(command: list[str], filters: Filters, **options: Any) -> tuple[Watch, dict[str, Any], Counter]:
    """Run the workload and read along. Return its own counts and ours."""
    held = hold(command)
    sink = Counter()
    watch = Watch(Targets(command=held.pid), filters, sink=sink, **options)
    with held, watch:
        release(held)
        watch.run_until(lambda: held.poll() is not None)
        assert held.stdout
        counts = json.loads(held.stdout.read())
    return watch, counts, sink


STEP = 100_000
"""Events that fit in the CPU ring of one CPU, however slowly it is read."""
MANY = pytest.mark.native("two million events of four threads take minutes in a machine")


@pytest.mark.parametrize("latency", [True, False])
@pytest.mark.parametrize(("calls", "threads"), [(1_000_000, 1), pytest.param(500_000, 4, marks=MANY)])
def test_pread_at_full_speed(program: Callable[[str], str], tmp_path: Path, calls: int, threads: int, latency: bool) -> None:
    """Every event and every byte is delivered with the default ring, read during the run. The threads wait each time that the ring could
    be full: otherwise the result would depend on the machine's speed."""
    file, counter = tmp_path / "0", Counter()
    file.write_bytes(b"x" * 50)
    held = hold([program("losses"), "matrix", str(tmp_path), str(threads), "1", str(calls), str(STEP // threads)])
    watch = Watch(Targets(command=held.pid), wanted("pread64", "close"), sink=counter, latency=latency)

    def mine() -> int:
        return counter.counts.get(("pread64", os.fsencode(file)), 0)

    with held, watch:
        release(held)
        for steps in range(1, calls * threads // STEP):
            watch.run_until(lambda steps=steps: mine() >= steps * STEP)  # type: ignore[misc]
            release(held, b"\n")
        watch.run_until(lambda: held.poll() is not None)
        assert held.stdout
        truth = [json.loads(line) for line in held.stdout]
    stats = watch.stats.ops["read"]
    assert mine() == sum(line["count"] for line in truth) == calls * threads
    others = sum(n for (call, path), n in counter.counts.items() if call == "pread64" and path != os.fsencode(file))
    assert (stats.seen, stats.delivered, stats.aggregated, stats.lost) == (mine() + others, mine() + others, 0, 0)
    # The loader preads a few headers before main: those are the others.
    assert 0 <= stats.bytes - sum(line["bytes"] for line in truth) <= others * 4096
    assert {line["bytes"] // line["count"] for line in truth} == set(range(1, threads + 1))


def test_open_read_close_over_many_files(workload: str, tmp_path: Path) -> None:
    """A thousand files six levels deep, four threads: each file is reported equally often."""
    subprocess.run([workload, "tree", str(tmp_path), "1000"], check=True)
    watch, truth, counter = count([workload, "orc", str(tmp_path), "1000", "20", "4"], wanted("open", "read", "close"))
    names = {os.fsencode(path): path for path in tmp_path.rglob("file*")}
    assert len(names) == 1000
    assert truth["calls"] == 80_000
    for call in ("openat", "read", "close"):
        mine = {path: n for (name, path), n in counter.counts.items() if name == call and path in names}
        assert mine == dict.fromkeys(names, 80)
    total = watch.stats.total
    assert (total.aggregated, total.lost) == (0, 0)
    assert total.seen == total.delivered


@pytest.mark.parametrize("threads", [1, 4])
def test_forced_loss(workload: str, file: Path, threads: int) -> None:
    """A small ring that is not read: events that do not fit are aggregated, exact in number and bytes."""
    calls = 50_000
    held = hold([workload, "pread", str(file), str(calls), str(threads)])
    sink = Counter()
    filters = wanted("pread64", "close", paths=[str(file)])
    watch = Watch(Targets(command=held.pid), filters, sink=sink, ring_size=64 * KIB * CPUS)
    with held, watch:
        release(held)
        truth = json.loads(held.communicate()[0])
        wait_for(lambda: watch.source.live <= 0)
    stats = watch.stats.ops["read"]
    assert stats.seen == truth["calls"] == calls * threads
    assert stats.delivered == sum(n for (call, _), n in sink.counts.items() if call == "pread64")
    assert stats.seen == stats.delivered + stats.aggregated + stats.lost
    assert stats.lost == 0
    assert stats.aggregated > 0
    assert stats.bytes == truth["bytes"] == 50 * stats.seen
    assert sum(overflow.count for overflow in sink.overflows if overflow.op == 3) == stats.aggregated
    assert sum(overflow.bytes for overflow in sink.overflows if overflow.op == 3) == 50 * stats.aggregated
    assert all(0 < overflow.first <= overflow.last for overflow in sink.overflows)


def test_loss_with_many_processes(program: Callable[[str], str], tmp_path: Path) -> None:
    """Every op of three hundred children balances, though most events found no room."""
    for i in range(300):
        (tmp_path / str(i)).write_text("hello")
    held = hold([program("procs"), "storm", str(tmp_path), "300"])
    watch = Watch(Targets(command=held.pid), wanted("all"), sink=Counter(), ring_size=SMALLEST_RING)
    with held, watch:
        release(held)
        held.communicate()
        wait_for(lambda: watch.source.live <= 0)
    ops = watch.stats.ops
    for name, op in ops.items():
        assert op.seen == op.delivered + op.aggregated + op.lost, name
        assert op.lost == 0, name
    assert (ops["fork"].seen, ops["exit"].seen) == (300, 301)
    assert ops["read"].bytes >= 300 * 5
    assert watch.stats.total.aggregated > 500


def test_definitions_without_room(tmp_path: Path, program: Callable[[str], str]) -> None:
    """100,000 names fill the definitions' ring while it is not read: each event is still delivered, none with another's name."""
    held = hold([program("files"), "recreate", str(tmp_path), "100000"])
    watch = Watch(Targets(command=held.pid), wanted("write", paths=[str(tmp_path)]))
    with held, watch:
        release(held)
        output = held.communicate(timeout=scaled(60))[0]
        wait_for(lambda: watch.source.live <= 0)
    inodes = [int(line) for line in output.split()]
    writes = [event for event in watch.events if event.op == "write"]
    assert len(writes) == 100_000
    assert watch.stats.ops["write"].seen == watch.stats.ops["write"].delivered == 100_000
    expected = [os.fsencode(tmp_path / f"name{i}") for i in range(7)]
    assert [i for i, e in enumerate(writes) if e.path not in (b"", expected[i % 7])] == []
    assert [i for i, e in enumerate(writes) if e.file and e.file.inode != inodes[i]] == []
    assert [event.result for event in writes] == [i % 7 + 1 for i in range(100_000)]
