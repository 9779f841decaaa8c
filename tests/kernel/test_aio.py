"""Requests of io_submit are reported once each, with the result of their completion, whichever thread reads it.

Separate from test_calls.py, because a request outlives its call. Expected values come from aio.c: io_event.res and the
program's own requests.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from filetap.core import wire
from filetap.core.batch import Batch
from tests.kernel.harness import Collector, Event, Run, trace, wanted

Build = Callable[[str], str]
CASES: Final = "buffered several many direct threads from_ring unknown refused append".split()
LATENCY: Final = {"latency": True, "no-latency": False}


class Flags(Collector):
    """Collect each event's flags too."""

    def __init__(self) -> None:
        super().__init__()
        self.flags: list[int] = []

    def write(self, batch: Batch) -> None:
        self.flags += batch.events["flags"].tolist()
        super().write(batch)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a directory on a disk: tmpfs, where /tmp may be, supports O_DIRECT in name only."""
    with TemporaryDirectory(dir="/var/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="module", params=LATENCY)
def run(request: pytest.FixtureRequest, program: Build, folder: Path) -> tuple[Run, Flags]:
    sink = Flags()
    options = {"latency": LATENCY[request.param], "sink": sink}
    run = trace([program("aio"), folder], wanted("io_submit", types=["all"]), options)
    assert run.status == 0
    return run, sink


def of_case(run: Run, case: str) -> list[Event]:
    """Return the events of a case by the file's name; the bad descriptor's event is the only one without a file."""
    return [e for e in run.events if os.path.basename(e.path).decode() == case or (case == "refused" and not e.file)]


def lines(run: Run, case: str) -> list[dict[str, Any]]:
    found = [line for line in run.lines if line["case"] == case]
    assert found, "the program has no such case"
    return found


def reported(event: Event) -> tuple[Any, ...]:
    return event.op, event.call, event.fd, event.offset, event.size, event.result


def expected(line: dict[str, Any]) -> tuple[Any, ...]:
    """fsync applies to the whole file, and an invalid descriptor has no position."""
    offset = None if line["op"] == "sync" or line["fd"] == 999 else line["offset"]
    return line["op"], "io_submit", line["fd"], offset, line["size"], line["result"]


def test_every_case_is_in_the_table(run: tuple[Run, Flags]) -> None:
    assert {line["case"] for line in run[0].lines} == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_requests(run: tuple[Run, Flags], case: str, folder: Path) -> None:
    """No event is missing or reported twice, in the order of completion; with two threads, in each thread's own order."""
    events, truth = of_case(run[0], case), [expected(line) for line in lines(run[0], case)]
    seen = [reported(event) for event in events]
    assert (sorted(seen) if case == "threads" else seen) == (sorted(truth) if case == "threads" else truth)
    status = os.stat(folder / case)
    assert {event.file.inode for event in events if event.file} == {status.st_ino}
    assert {event.tid for event in events} == {run[0].pid}


def test_unknown_results_are_not_reported(run: tuple[Run, Flags]) -> None:
    """Two requests at one address, the second before the end of the first was seen: only these have no result."""
    events, flags = run[0].events, run[1].flags
    unknown = [e for e, f in zip(events, flags, strict=True) if f & wire.NO_RESULT]
    assert unknown == of_case(run[0], "unknown")
    assert len(unknown) == 2


def test_only_appends_are_uncertain(run: tuple[Run, Flags]) -> None:
    assert {os.path.basename(e.path) for e in run[0].events if e.uncertain} == {b"append"}


def test_durations(run: tuple[Run, Flags], request: pytest.FixtureRequest) -> None:
    timed = "[latency]" in request.node.name
    known = [event for event, flags in zip(run[0].events, run[1].flags, strict=True) if not flags & wire.NO_RESULT]
    assert {bool(event.duration) for event in known} == {timed}


def test_a_request_has_the_open_id_of_its_file(program: Build, folder: Path) -> None:
    """The open is reported by a call of another hook set."""
    run = trace([program("aio"), folder], wanted("open", "io_submit", paths=[str(folder)]))
    opened = {(event.path, event.open) for event in run.events if event.op == "open" and event.open}
    requests_on = {(event.path, event.open) for event in run.events if event.call == "io_submit"}
    assert requests_on
    assert requests_on <= opened


def test_statistics(run: tuple[Run, Flags]) -> None:
    for name, op in run[0].stats.ops.items():
        assert (op.seen, op.aggregated, op.lost) == (op.delivered, 0, 0), name
    assert set(run[0].stats.ops) == {"read", "write", "sync"}


def test_failed(program: Build, folder: Path) -> None:
    run = trace([program("aio"), folder], wanted("io_submit", failed=True, types=["all"]))
    truth = [expected(line) for line in run.lines if line["result"] < 0]
    assert [reported(event) for event in run.events] == truth
    assert {event.result for event in run.events} == {-errno.EBADF, -errno.EINVAL}


def test_paths(program: Build, folder: Path) -> None:
    (folder / "direct").touch()
    run = trace([program("aio"), folder], wanted("io", paths=[str(folder / "direct")]))
    mine = [reported(event) for event in run.events if event.call == "io_submit"]
    assert mine == [expected(line) for line in run.lines if line["case"] == "direct"]


@pytest.mark.parametrize("op", ["read", "write", "sync"])
def test_operations(program: Build, folder: Path, op: str) -> None:
    run = trace([program("aio"), folder], wanted(op))
    mine = sorted(reported(event) for event in run.events if event.call == "io_submit" and event.path != b"/dev/null")
    assert mine == sorted(expected(line) for line in run.lines if line["op"] == op and line["fd"] != 999)
    assert {event.op for event in run.events} == {op}


def test_min_latency(program: Build, folder: Path) -> None:
    run = trace([program("aio"), folder], wanted("io_submit", min_latency=10_000_000_000))
    assert run.events == []


def test_requests_are_separate_across_exec(program: Build, folder: Path) -> None:
    """A request under way at an exec is not confused with one at the same address that the next image submits."""
    sink = Flags()
    run = trace([program("aio"), folder, "8"], wanted("io_submit"), {"sink": sink})
    reaped = [reported(event) for event in run.events if event.offset == 4096]
    assert run.status == 0
    assert len(run.lines) == 9
    assert reaped == [expected(line) for line in run.lines]
    assert not any(flags & wire.NO_RESULT for event, flags in zip(run.events, sink.flags, strict=True) if event.offset == 4096)
