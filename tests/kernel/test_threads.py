"""Threads that share descriptors and positions: events are correct or marked as uncertain.

Separate from test_calls.py, which has one thread. The oracle is the data that was read: files of one letter identify
the file, a file of its own offsets identifies the position.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from filetap.selection.targets import Targets
from tests.kernel.harness import Shell, Watch, by_path, trace, wanted

Build = Callable[[str], str]
LATENCY = pytest.mark.parametrize("latency", [True, False])


@LATENCY
def test_descriptor_changed_by_another_thread(program: Build, tmp_path: Path, latency: bool) -> None:
    """20,000 reads of a descriptor that another thread points to two files in turn: never the wrong file without a mark."""
    for name in "ab":
        (tmp_path / name).write_text(name * 1000)
    run = trace([program("threads"), "dup2", tmp_path / "a", tmp_path / "b", "20000"], wanted("pread64"), {"latency": latency})
    truth = next(line for line in run.output.decode().splitlines() if len(line) == 20000)
    mine = [event for event in run.events if event.fd == 100]
    assert len(mine) == 20000
    reported = [os.path.basename(event.path).decode() for event in mine]
    silent = [i for i, event in enumerate(mine) if reported[i] != truth[i] and not event.uncertain]
    assert silent == []
    assert [event.offset for event in mine] == [i % 1000 for i in range(20000)]
    assert {"a", "b"} <= set(truth)


@LATENCY
@pytest.mark.parametrize("threads", [2, 4])
def test_shared_position(program: Build, tmp_path: Path, threads: int, latency: bool) -> None:
    """Each offset is that of the bytes which were read, or is marked as uncertain."""
    rounds = 5000
    file = tmp_path / "offsets"
    file.write_bytes(b"".join(struct.pack("<q", at) for at in range(0, 8 * threads * rounds, 8)))
    run = trace([program("threads"), "shared", file, str(threads), str(rounds)], wanted("read", "close"), {"latency": latency})
    reads = [event for event in by_path(run.events, file) if event.op == "read"]
    assert len(reads) == threads * rounds
    right = 0
    for line in run.lines:
        mine = [event for event in reads if event.tid == line["tid"]]
        silent = [(e.offset, at) for e, at in zip(mine, line["offsets"], strict=True) if e.offset != at and not e.uncertain]
        assert silent == []
        right += sum(e.offset == at for e, at in zip(mine, line["offsets"], strict=True))
    assert right > 0.2 * threads * rounds


@LATENCY
def test_pipe_that_becomes_a_file(program: Build, tmp_path: Path, latency: bool) -> None:
    """A read that sleeps on a pipe is reported for that pipe, though its descriptor is a file when it returns."""
    (tmp_path / "file").write_text("hello")
    run = trace([program("threads"), "pipe", tmp_path / "file"], wanted("read", types=["pipe"]), {"latency": latency})
    assert run.lines == [{"result": 1}]
    (read,) = [event for event in run.events if event.fd == 100]
    assert read.path.startswith(b"pipe:[") or read.uncertain
    if latency:
        assert read.path.startswith(b"pipe:[")


def test_pipe_is_not_taken_for_the_file(program: Build, tmp_path: Path) -> None:
    """The same with regular files only: the read must not be reported."""
    (tmp_path / "file").write_text("hello")
    run = trace([program("threads"), "pipe", tmp_path / "file"], wanted("read"))
    assert [event for event in run.events if event.fd == 100] == []


def test_threads_have_names_of_their_own(tmp_path: Path) -> None:
    """comm is the process's name, thread the thread's; both set by prctl."""
    (tmp_path / "file").write_text("x")
    code = f"""
import threading, ctypes
def body():
    ctypes.CDLL(None).prctl(15, b"worker", 0, 0, 0)
    open("{tmp_path}/file").read()
t = threading.Thread(target=body); t.start(); t.join()
"""
    run = trace(["/usr/bin/python3", "-I", "-c", code], wanted("read"))
    (event, *_) = by_path(run.events, tmp_path / "file")
    assert (event.task.comm, event.task.thread) == (b"python3", b"worker")
    assert event.tid != event.pid == run.pid


def test_first_thread_ends_first(program: Build, tmp_path: Path) -> None:
    """The process goes on without its leader, under its pid and name, and ends once."""
    (tmp_path / "file").write_text("x")
    run = trace([program("threads"), "survivor", tmp_path / "file"], wanted("all"))
    (line,) = run.lines
    mine = by_path(run.events, tmp_path / "file")
    assert [(e.op, e.pid, e.tid, e.result) for e in mine if e.op == "read"] == [("read", run.pid, line["tid"], 1)]
    assert {event.task.comm for event in mine} == {b"threads"}
    assert [(e.pid, e.result) for e in run.events if e.op == "exit"] == [(run.pid, 5)]


def test_threads_that_come_later_without_latency(program: Build, tmp_path: Path) -> None:
    """From then on calls are recorded at their beginning: a read that sleeps on a pipe is reported for the pipe, without a mark."""
    (tmp_path / "file").write_text("hello")
    with Shell(program("threads"), "agent") as shell:
        filters = wanted("read", "close", types=["pipe"])
        with Watch(Targets(pids=[shell.pid]), filters, latency=False) as watch:
            shell.do("start")
            watch.session.run_once()
            watch.session.run_once()
            shell.do(f"touch 0 {tmp_path}/file")
            before = len(watch.events)
            shell.do(f"touch 0 {tmp_path}/file")
        late = [event for event in watch.events[before:] if event.op == "read"]
        assert late
        assert {event.path[:6] for event in late} == {b"pipe:["}
        assert not any(event.uncertain for event in late[2:])


def test_order_within_a_thread(tmp_path: Path) -> None:
    """In the order in which the thread made them, on whichever CPU: offsets of a private position only grow."""
    file = tmp_path / "file"
    file.write_bytes(b"x" * 200000)
    code = f"""
import os, threading
def body():
    f = os.open("{file}", os.O_RDONLY)
    for i in range(2000):
        os.pread(f, 1, i)
ts = [threading.Thread(target=body) for _ in range(6)]
[t.start() for t in ts]; [t.join() for t in ts]
"""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted("pread64"))
    mine = by_path(run.events, file)
    for tid in {event.tid for event in mine}:
        assert [event.offset for event in mine if event.tid == tid] == list(range(2000))
    assert len(mine) == 12000
