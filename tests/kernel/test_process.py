"""Processes: birth, exec and end, with op, call, result, identity, and the executed file.

Separate from test_calls.py, because the oracle is what the parent and wait(2) report.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from filetap.capture import choice
from filetap.kernel.types import KernelTypes
from filetap.probes import Plan, preempt_safe
from tests.kernel.harness import Event, Run, by_path, device, trace, wanted

Build = Callable[[str], str]


@pytest.fixture(scope="module")
def births(program: Build) -> Run:
    return trace([program("procs"), "births"], wanted("all"))


@pytest.mark.parametrize("way", ["fork", "vfork", "clone", "sharing", "clone3"])
def test_birth(births: Run, way: str) -> None:
    """One event of the parent, whose result is the child."""
    line = next(x for x in births.lines if x["way"] == way)
    found = [event for event in births.events if event.op == "fork" and event.result == line["child"]]
    assert [(event.call, event.pid, event.tid) for event in found] == [(line["call"], line["parent"], line["parent"])]


@pytest.mark.parametrize("way", ["fork", "vfork", "clone", "sharing", "clone3"])
def test_child(births: Run, way: str) -> None:
    """The child's own events have its pid, its parent's pid, and the definition of the task that forked it."""
    line = next(x for x in births.lines if x["way"] == way)
    (touched,) = by_path(births.events, f"/child/{way}")
    assert (touched.pid, touched.tid, touched.task.ppid) == (line["child"], line["child"], line["parent"])
    assert touched.task.comm == b"procs"
    (fork,) = [event for event in births.events if event.op == "fork" and event.result == line["child"]]
    assert touched.task.forker == fork.task.id


def test_a_new_thread_is_no_fork(births: Run) -> None:
    line = next(x for x in births.lines if x["op"] == "thread")
    (born,) = [event for event in births.events if event.op in ("fork", "thread") and event.result == line["child"]]
    assert (born.op, born.call) == ("thread", line["call"])
    (touched,) = by_path(births.events, "/child/thread")
    assert (touched.pid, touched.tid) == (births.pid, line["child"])


def test_births_are_in_the_statistics(births: Run) -> None:
    expected = Counter(line["op"] for line in births.lines)
    found = {op: (a.seen, a.delivered, a.lost) for op, a in births.stats.ops.items() if op in ("fork", "thread")}
    assert found == {op: (n, n, 0) for op, n in expected.items()}


@pytest.mark.native("7.x is where these are used by themselves, and kernels before 6.12 do not let them call for a task")
def test_births_and_ends_by_classic_tracepoints(program: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on kernels that would skip programs of raw tracepoints: the tracer would wait for ever for a child whose end was not seen."""
    monkeypatch.setattr(KernelTypes, "preempts_tracepoints", lambda _: True)
    run = trace([program("procs"), "births"], wanted("process"))
    children = {op: {x["child"] for x in run.lines if x["op"] == op} for op in ("fork", "thread")}
    assert {op: {e.result for e in run.events if e.op == op} for op in children} == children
    assert {e.pid for e in run.events if e.op == "exit"} == {*children["fork"], run.pid}


@pytest.mark.native("7.x is where this is used by itself, and kernels before 6.12 do not let it call for a task")
def test_a_skipped_exec_hides_no_other_event(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A held command is traced from its exec on. The exec is skipped as if its program were missing."""

    def without_exec(plan: Plan) -> Plan:
        kept = preempt_safe(plan)
        return replace(kept, raw=[program for program in kept.raw if program != "process_exec"])

    monkeypatch.setattr(KernelTypes, "preempts_tracepoints", lambda _: True)
    monkeypatch.setattr(choice, "preempt_safe", without_exec)
    run = trace(["/bin/sh", "-c", f": >{tmp_path}/one; /bin/touch {tmp_path}/two"], wanted("exec", "openat", paths=[str(tmp_path)]))
    assert [(event.op, event.task.comm, event.path) for event in run.events] == [
        ("open", b"sh", os.fsencode(tmp_path / "one")),
        ("open", b"touch", os.fsencode(tmp_path / "two")),
    ]


def test_only_threads(program: Build) -> None:
    """``-e thread`` means threads only (the program writes to no file)."""
    run = trace([program("procs"), "births"], wanted("thread", "write"))
    tid = next(x["child"] for x in run.lines if x["op"] == "thread")
    assert [(event.op, event.result) for event in run.events] == [("thread", tid)]


def test_only_vfork(program: Build) -> None:
    """``-e vfork`` is one exact call."""
    run = trace([program("procs"), "births"], wanted("vfork", "write"))
    child = next(x["child"] for x in run.lines if x["way"] == "vfork")
    assert [(event.call, event.result) for event in run.events] == [("vfork", child)]


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status(program: Build, status: int) -> None:
    run = trace([program("procs"), "leave", str(status)], wanted("exit", "write"))
    assert [(e.op, e.pid, e.result) for e in run.events] == [("exit", run.pid, status)]
    assert run.status == status


def test_an_io_uring_worker_may_end_last(program: Build) -> None:
    """The kernel creates it without a visible fork, and it may not pass any hook before its end."""
    for _ in range(5):
        run = trace([program("procs"), "worker"], wanted("exit"))
        assert run.status == 0
        assert [(e.op, e.pid, e.result) for e in run.events] == [("exit", run.pid, 0)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT, signal.SIGUSR1])
def test_death_by_signal(program: Build, number: int) -> None:
    """The status is the one that a shell reports."""
    run = trace([program("procs"), "die", str(int(number))], wanted("exit", "write"))
    assert run.status == -number
    assert [(e.op, e.pid, e.result) for e in run.events] == [("exit", run.pid, 128 + number)]


def test_one_exit_per_process(births: Run) -> None:
    """Not one per thread; with the children's statuses."""
    statuses = {"fork": 3, "vfork": 4, "clone": 6, "sharing": 6, "clone3": 5}
    children = {x["child"]: statuses[x["way"]] for x in births.lines if x["op"] == "fork"}
    assert {e.pid: e.result for e in births.events if e.op == "exit"} == {**children, births.pid: 0}
    assert sum(e.op == "exit" for e in births.events) == len(children) + 1


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return a program to execute."""
    path = tmp_path / "target"
    path.write_bytes(Path("/bin/true").read_bytes())
    path.chmod(0o755)
    return path


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script"
    path.write_text("#!/bin/sh\n:\n")
    path.chmod(0o755)
    return path


def second_exec(run: Run) -> Event:
    """The first one is that of the workload itself."""
    return [event for event in run.events if event.op == "exec" and event.result >= 0][1]


EXECS = {"execve": "execve", "relative": "execve", "execveat": "execveat", "empty": "execveat"}


@pytest.mark.parametrize("how", EXECS)
def test_exec(program: Build, target: Path, how: str) -> None:
    run = trace([program("procs"), "exec", how, str(target)], wanted("exec", "read"), {"arguments": True})
    event = second_exec(run)
    assert run.status == 0
    assert (event.call, event.result, event.pid, event.tid) == (EXECS[how], 0, run.pid, run.pid)
    assert event.path == os.fsencode(target)
    assert event.file
    assert (event.file.inode, event.file.device) == (target.stat().st_ino, device(target))
    assert event.task.exe == os.fsencode(target)
    assert event.task.args == (os.fsencode(target), b"one argument", b"caf\xc3\xa9\xff")
    assert event.task.comm == (b"target" if how != "empty" else event.task.comm)
    assert event.duration > 0


@pytest.mark.parametrize("how", ["execve", "relative", "execveat", "fexecve"])
def test_script(program: Build, script: Path, how: str) -> None:
    """The file is the script as named; the executable is the interpreter, and its reading of the script is reported."""
    run = trace([program("procs"), "exec", how, str(script)], wanted("exec", "open", "read"))
    event = second_exec(run)
    assert run.status == 0
    assert event.path == os.fsencode(script)
    assert event.task.exe == os.fsencode(os.path.realpath("/bin/sh"))
    after = run.events[run.events.index(event) :]
    assert any(e.op == "open" and e.path == os.fsencode(script) for e in after)


FAILING = [("missing", errno.ENOENT), ("plain", errno.EACCES), ("garbage", errno.ENOEXEC), (".", errno.EACCES)]


@pytest.mark.parametrize(
    ("how", "name", "code"),
    [(how, *failing) for how in ("execve", "relative", "execveat") for failing in FAILING] + [("execve", "target/x", errno.ENOTDIR)],
)
def test_failed_exec(program: Build, target: Path, how: str, name: str, code: int) -> None:
    """Reported by the call, with the requested path; the task is unchanged."""
    folder = target.parent
    (folder / "plain").touch()
    (folder / "garbage").write_bytes(b"\0\1\2\3")
    (folder / "garbage").chmod(0o755)
    run = trace([program("procs"), "exec", how, f"{folder}/{name}"], wanted("exec", "read"))
    assert run.lines == [{"error": code}]
    event = [event for event in run.events if event.op == "exec"][-1]
    assert (event.op, event.call, event.result) == ("exec", EXECS[how], -code)
    assert event.path == os.fsencode(os.path.normpath(folder / name))
    assert Path(os.fsdecode(event.task.exe)).name == "procs"
    assert sum(e.op == "exec" for e in run.events) == 2


def test_arguments_too_long() -> None:
    """They are truncated and marked as such."""
    words = [f"{number:05d}" for number in range(2000)]
    run = trace(["/bin/true", *words], wanted("exec", "read"), {"arguments": True})
    (event,) = [event for event in run.events if event.op == "exec"]
    assert event.task.args
    assert event.task.args_truncated
    whole = b"\0".join(os.fsencode(word) for word in ["/bin/true", *words])
    assert len(b"\0".join(event.task.args)) > 2000
    assert whole.startswith(b"\0".join(event.task.args))


def test_no_arguments_by_default() -> None:
    run = trace(["/bin/true", "secret"], wanted("exec", "read"))
    assert {event.task.args for event in run.events} == {None}


def test_exec_by_a_thread_takes_the_leader_s_place(program: Build, target: Path) -> None:
    run = trace([program("procs"), "thread-exec", str(target)], wanted("process", "read"))
    event = second_exec(run)
    assert (event.pid, event.tid, event.path) == (run.pid, run.pid, os.fsencode(target))
    assert [(e.pid, e.result) for e in run.events if e.op == "exit"] == [(run.pid, 0)]


def test_an_exec_that_changes_the_user(tmp_path: Path, program: Build) -> None:
    """set-user-ID: the events after the exec have the new user."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    program_ = tmp_path / "setuid"
    program_.write_bytes(Path(program("procs")).read_bytes())
    os.chown(program_, 65534, 65534)
    program_.chmod(0o4755 | stat.S_ISGID)
    run = trace([str(program_), "births"], wanted("exec", "open", "read"))
    (touched,) = by_path(run.events, "/child/fork")
    c = touched.task.credentials
    assert (c.uid, c.euid, c.suid, c.fsuid) == (0, 65534, 65534, 65534)
    assert (c.gid, c.egid, c.sgid, c.fsgid) == (0, *[program_.stat().st_gid] * 3)


def test_exec_chain(program: Build, tmp_path: Path) -> None:
    """Fifty execs are fifty tasks of one process, each with the previous one as parent."""
    file = tmp_path / "end"
    file.write_text("12345")
    run = trace([program("procs"), "chain", "50", str(file)], wanted("exec", "read", "open", "close"))
    execs = [event for event in run.events if event.op == "exec"]
    assert len(execs) == 51
    assert {event.pid for event in run.events} == {run.pid}
    assert len({event.task.id for event in execs}) == 51
    before = execs[0].task.execs
    assert [event.task.execs for event in execs] == list(range(before, before + 51))
    (read,) = [event for event in run.events if event.op == "read" and event.path == os.fsencode(file)]
    assert (read.result, read.task.execs) == (5, before + 50)
    assert run.stats.processes == 1


def test_a_page_fault_during_exec_belongs_to_the_new_image(program: Build, tmp_path: Path) -> None:
    """While exec(2) is still under way, the kernel clears the rest of a page: this belongs to the new image, not to the old one."""
    file = tmp_path / "end"
    file.write_text("12345")
    run = trace(["/bin/sh", "-c", f"exec {program('procs')} chain 0 {file}"], wanted("fault", "exec", "read"))
    images = {name: {event.task.execs for event in run.events if event.task.comm == name} for name in (b"sh", b"procs")}
    (done,) = [event for event in run.events if event.op == "exec" and event.task.comm == b"procs"]
    within = [event for event in run.events if done.time < event.time < done.time + done.duration]
    assert any(event.op == "fault" and event.task.comm == b"procs" for event in within)
    assert images == {b"sh": {done.task.execs - 1}, b"procs": {done.task.execs}}


def test_fork_storm(program: Build, tmp_path: Path) -> None:
    """Three hundred simultaneous children, each with a file of its own: every one is reported, by pid."""
    for i in range(300):
        (tmp_path / str(i)).write_text("hello")
    run = trace([program("procs"), "storm", str(tmp_path), "300"], wanted("all"))
    assert run.lines == [{"failed": 0}]
    children = {e.result for e in run.events if e.op == "fork"}
    assert len(children) == 300
    for op in ("open", "read", "close"):
        mine = [e for e in run.events if e.op == op and e.path.startswith(os.fsencode(tmp_path) + b"/")]
        assert sorted(e.path for e in mine) == sorted(os.fsencode(tmp_path / str(i)) for i in range(300))
        assert {e.pid for e in mine} == children
    assert {e.pid for e in run.events if e.op == "exit"} == children | {run.pid}
    assert run.stats.processes == 301
    assert run.stats.total.lost == run.stats.total.aggregated == 0
