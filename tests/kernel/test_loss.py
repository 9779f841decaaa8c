"""Full kernel tables: each is counted, and what is reported may be less, but never wrong.

Separate from test_counts.py, because each loss must have exactly one cause. Expected values come from losses.c and
files.c.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.selection.targets import Targets
from tests.kernel.harness import SMALLEST_RING, Collector, Watch, hold, names_requests, release, wanted
from tests.timeouts import scaled, wait_for


class Unread:
    """The result of a command while user space did not read: everything is read at its end."""

    def __init__(self, command: list[str], *events: str, options: dict[str, Any] | None = None, **filters: Any) -> None:
        self.sink = Collector()
        held = hold(command)
        watch = Watch(Targets(command=held.pid), wanted(*events, **filters), sink=self.sink, **(options or {}))
        with held, watch:
            release(held)
            self.output = held.communicate(timeout=scaled(120))[0]
            wait_for(lambda: watch.source.live <= 0)
        assert held.returncode == 0
        self.pid = held.pid
        self.events, self.overflows, self.stats = self.sink.events, self.sink.overflows, watch.stats
        self.known = watch.source.definitions
        self.lines = [json.loads(line) for line in self.output.splitlines() if line.startswith(b"{")]

    def note(self, words: str) -> int:
        """Return the number in front of a note, 0 without one."""
        return next((int(note.split()[0]) for note in self.stats.notes if words in note), 0)


NO_ROOM = "an inode number and no path"


def test_more_overflows_than_the_table_holds(program: Callable[[str], str], tmp_path: Path) -> None:
    """90,000 pairs of thread and file for 65,536 slots: the rest is lost and reported as lost."""
    threads, files, calls = 300, 300, 3
    for file in range(files):
        (tmp_path / str(file)).write_bytes(b"x" * 64)
    command = [program("losses"), "matrix", str(tmp_path), str(threads), str(files), str(calls)]
    run = Unread(command, "pread64", paths=[str(tmp_path)], options={"ring_size": SMALLEST_RING})
    truth = {(row["thread"], row["path"]): row["bytes"] // row["count"] for row in run.lines}
    stats = run.stats.ops["read"]
    assert len(truth) == threads * files
    assert stats.seen == stats.delivered + stats.aggregated + stats.lost == threads * files * calls
    assert stats.delivered == len(run.events)
    assert len(run.overflows) == 65536
    assert stats.aggregated == sum(overflow.count for overflow in run.overflows)
    assert stats.lost >= (threads * files - len(run.overflows)) * calls - len(run.events) > 0
    assert run.note("lost") == stats.lost
    assert stats.bytes == sum(overflow.bytes for overflow in run.overflows) + sum(event.result for event in run.events)
    reported = Counter((event.tid, event.path.decode()) for event in run.events)
    for overflow in run.overflows:
        key = run.known.tasks[overflow.task].tid, run.known.files[overflow.file].path.decode()
        assert overflow.bytes == overflow.count * truth[key]
        reported[key] += overflow.count
    assert set(reported) <= set(truth)
    assert max(reported.values()) == calls


def test_definitions_without_room_name_no_other_file(program: Callable[[str], str], tmp_path: Path) -> None:
    """100,000 files with long names: events without a path have the inode that was really written to."""
    count = 100_000
    folder = tmp_path / ("long" * 50) / ("name" * 50)
    folder.mkdir(parents=True)
    run = Unread([program("files"), "recreate", str(folder), str(count)], "write", paths=[str(folder)])
    inodes = [int(line) for line in run.output.split()]
    assert len(inodes) == len(run.events) == run.stats.ops["write"].delivered == run.stats.ops["write"].seen == count
    assert [event.result for event in run.events] == [i % 7 + 1 for i in range(count)]
    assert [event.file.inode for event in run.events if event.file] == inodes
    assert {event.path for event in run.events} == {b""} | {os.fsencode(folder / f"name{i}") for i in range(7)}
    nameless = [event for event in run.events if not event.path]
    assert len(nameless) > count / 2
    assert run.note(NO_ROOM) == len(nameless)
    assert not any(event.file and event.file.resolved for event in nameless)


ENDING: Final = """
mkfifo "$0/end"
for i in {1..32}; do (echo x >"$0/before$i"; read -r _ <"$0/end") & done
for i in {1..32}; do until test -s "$0/before$i"; do sleep 0.01; done; done
"$1" recreate "$0" "$2" >/dev/null
: >"$0/end"
wait
"""


def test_a_process_that_ends_while_there_is_no_room_misses_nothing(program: Callable[[str], str], tmp_path: Path) -> None:
    """The end of a process is announced on the ring of definitions. Where that does not fit, no event lacks its path."""
    run = Unread(["bash", "-c", ENDING, str(tmp_path), program("files"), "100000"], "write", paths=[str(tmp_path)])
    nameless = [event for event in run.events if not event.path]
    assert len(run.events) - len(nameless) > 32
    assert run.note(NO_ROOM) == len(nameless) > 0


@pytest.mark.parametrize("filters", [{}, {"exclude": ["/etc"]}, {"paths": ["/"]}], ids=["all", "exclude", "paths"])
def test_failed_names_without_room(program: Callable[[str], str], tmp_path: Path, filters: dict[str, Any]) -> None:
    """A failed open has no file: without its name it must not get the previously open file, nor be lost."""
    count, folder = 60_000, tmp_path / ("long" * 50) / ("name" * 50)
    folder.mkdir(parents=True)
    run = Unread([program("losses"), "vain", str(folder), str(count)], "openat", **filters)
    failed = [event for event in run.events if event.result == -errno.ENOENT]
    named = [event.path for event in failed if event.path.startswith(os.fsencode(folder))]
    nameless = [event for event in failed if not event.path]
    assert named == [os.fsencode(folder / f"none{i}") for i in range(len(named))]
    assert len(nameless) == count - len(named) > count / 10
    assert [event for event in nameless if event.file] == []
    assert run.note(NO_ROOM) >= len(nameless)
    assert run.stats.ops["open"].seen == len(run.events)


def test_names_that_were_aggregated(program: Callable[[str], str], tmp_path: Path) -> None:
    """Each name has its own row; the table of names becomes full, which is counted and loses no name."""
    count = 50_000
    run = Unread([program("losses"), "vain", str(tmp_path), str(count)], "openat", options={"ring_size": SMALLEST_RING})
    reported = Counter(event.path for event in run.events)
    for overflow in run.overflows:
        reported[run.known.files.path(overflow.file)] += overflow.count
    assert {path: n for path, n in reported.items() if path.startswith(os.fsencode(tmp_path))} == {
        os.fsencode(tmp_path / f"none{i}"): 1 for i in range(count)
    }
    assert run.note("name table was full") > 0
    assert run.stats.ops["open"].aggregated > count / 2


@pytest.fixture
def family(program: Callable[[str], str], tmp_path: Path) -> list[str]:
    """A command with 8000 children and arguments so long that few of them can be described."""
    (tmp_path / "file").write_bytes(b"x" * 64)
    return [program("losses"), "children", str(tmp_path / "file"), "8000", "0", "x" * 3500]


def test_births_and_ends_without_room(family: list[str], tmp_path: Path) -> None:
    """Undescribed processes are reported by their pid, without a file of another process. Several processes run on different CPUs: only
    the time gives their order."""
    run = Unread(family, "process", "pread64", options={"arguments": True})
    children, events = [line["child"] for line in run.lines], sorted(run.events, key=lambda event: event.time)
    reads = [event for event in events if event.op == "read" and event.pid != run.pid]
    assert run.note(NO_ROOM) > 1000
    assert [event.result for event in run.events if event.op == "fork"] == children
    assert [event.pid for event in events if event.op == "exit"] == [*children, run.pid]
    assert {event.file for event in events if event.op in {"fork", "exit"}} == {None}
    assert [(event.pid, event.result) for event in reads] == [(line["child"], line["size"]) for line in run.lines]
    assert {event.path for event in reads} == {os.fsencode(tmp_path / "file")}
    assert {(event.task.comm, event.task.ppid) for event in reads} == {(b"losses", run.pid)}


def test_both_rings_full(family: list[str], tmp_path: Path) -> None:
    """Both rings are full: the events are still aggregated by process."""
    run = Unread(family, "pread64", paths=[str(tmp_path)], options={"arguments": True, "ring_size": SMALLEST_RING})
    stats = run.stats.ops["read"]
    reported = Counter({event.pid: event.result for event in run.events})
    for overflow in run.overflows:
        reported[overflow.pid] += overflow.bytes
    assert reported == Counter({line["child"]: line["size"] for line in run.lines})
    assert stats.seen == stats.delivered + stats.aggregated == len(run.lines)
    assert stats.aggregated > 1000
    assert len([overflow for overflow in run.overflows if overflow.task not in run.known.tasks]) > 1000


@pytest.fixture
def pending(program: Callable[[str], str]) -> Callable[[int, int], Unread]:
    """Trace this many simultaneous reads by io_uring, with a ring of this many entries."""

    def run(count: int, entries: int) -> Unread:
        command = [program("losses"), "pending", "-", str(count), str(entries)]
        if subprocess.run(command, check=False).returncode == 77:
            pytest.skip("io_uring is not to be had here")
        return Unread(command, "io_uring:read", types=["pipe"])

    return run


@names_requests
def test_more_requests_under_way_than_the_table_holds(pending: Callable[[int, int], Unread]) -> None:
    """Requests of io_uring that do not fit in the table of pending requests are reported when they are submitted."""
    count = 40_000
    run = pending(count, 32_768)
    untold = run.note("requests of io_uring or io_submit were reported")
    assert untold >= count - 2 * 16384  # a slot for each address, and a table for requests that share one
    assert run.stats.ops["read"].seen == run.stats.ops["read"].delivered == count
    assert Counter(event.result for event in run.events) == {1: count - untold, 0: untold}


@names_requests
def test_completions_without_room_in_their_queue(pending: Callable[[int, int], Unread]) -> None:
    """The kernel does not identify their requests: they are counted."""
    run = pending(40, 8)
    assert len(run.events) + run.note("io_uring requests may be missing") == 40
    assert len(run.events) >= 16
