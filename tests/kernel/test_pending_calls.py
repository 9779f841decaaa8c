"""Calls under way: every process here waits in a call that does not return by itself, and reports which.

Separate from test_calls.py, because calls under way have no event yet.
"""

from __future__ import annotations

import os
import signal
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from filetap.selection.targets import Targets
from tests.kernel.harness import Watch, release, wanted
from tests.kernel.waiting import described, listed, waiting
from tests.timeouts import wait_for

BLOCKED: Final = """
out, into = os.pipe()
full_out, full = os.pipe()
os.set_blocking(full, False)
try:
    while os.write(full, bytes(4096)): pass
except BlockingIOError: pass
os.set_blocking(full, True)
other_out, other_into = os.pipe()
plain = os.open(root + "/plain", os.O_RDWR | os.O_CREAT)
os.write(plain, bytes(10000))
os.lseek(plain, 0, 0)  # at the end sendfile would not wait on 5.10
mine = os.open(root + "/locked", os.O_RDWR | os.O_CREAT)
fcntl.flock(mine, fcntl.LOCK_EX)
fcntl.lockf(mine, fcntl.LOCK_EX)
folder = os.open(root, os.O_RDONLY)
buffer = ctypes.create_string_buffer(8192)
vectors = (ctypes.c_size_t * 4)(ctypes.addressof(buffer), 100, ctypes.addressof(buffer), 23)
how = (ctypes.c_uint64 * 3)(os.O_RDONLY | os.O_CLOEXEC, 0, 0)
def pipe(fd): return os.readlink(f"/proc/self/fd/{fd}")

os.mkfifo(root + "/one")
begin("openat", lambda: os.open(root + "/one", os.O_RDONLY), path=root + "/one", offset=os.O_CLOEXEC)
os.mkfifo(root + "/two")
begin("openat", lambda: call("openat", folder, text("./two"), os.O_WRONLY, 0), path=root + "/two", offset=os.O_WRONLY, size=0)
os.mkfifo(root + "/three")
os.chdir(root)
begin("openat2", lambda: call("openat2", -100, text("three"), how, 24), path=root + "/three", offset=how[0], size=0)
os.mkfifo(root + "/four\\udcff")
begin("open", lambda: call("open", text(root + "//./four\\udcff"), os.O_RDONLY, 0), path=root + "/four\\udcff", offset=0, size=0)
begin("read", lambda: os.read(out, 77), path=pipe(out), fd=out, size=77)
begin("readv", lambda: call("readv", out, vectors, 2), path=pipe(out), fd=out, size=123)
begin("write", lambda: os.write(full, bytes(5000)), path=pipe(full), fd=full, size=5000)
begin("writev", lambda: call("writev", full, vectors, 2), path=pipe(full), fd=full, size=123)
begin("vmsplice", lambda: call("vmsplice", full, vectors, 2, 0), path=pipe(full), fd=full, size=123, argument=0)
begin("splice", lambda: call("splice", out, 0, other_into, 0, 4000, 1), path=pipe(out), target=pipe(other_into), fd=out,
      target_fd=other_into, size=4000, argument=1)
begin("tee", lambda: call("tee", out, other_into, 3000, 0), path=pipe(out), target=pipe(other_into), fd=out, target_fd=other_into,
      size=3000, argument=0)
begin("sendfile", lambda: call("sendfile", full, plain, 0, 2000), path=root + "/plain", target=pipe(full), fd=plain, target_fd=full,
      size=2000)
locked = root + "/locked"
def theirs(): return os.open(locked, os.O_RDWR)
whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
begin("flock", lambda: fcntl.flock(theirs(), fcntl.LOCK_SH), path=locked, argument=fcntl.LOCK_SH)
begin("fcntl", lambda: fcntl.lockf(theirs(), fcntl.LOCK_EX, 1, 5), path=locked, argument=fcntl.F_SETLKW << 8)
begin("fcntl", lambda: fcntl.fcntl(theirs(), 38, whole), path=locked, argument=38 << 8)
"""


@pytest.mark.parametrize("hung", [False, True])
def test_what_each_call_waits_for(tmp_path: Path, hung: bool) -> None:
    """One call of each kind, begun during the trace or before it."""
    with waiting(BLOCKED, tmp_path) as program:
        found, watch = listed(program, wanted("all", types=["all"]), hung=hung)
        lines = {line["pid"]: line for line in program.lines}
        mine = {event.pid: event for event in found if event.pid in lines}
        for pid, line in lines.items():
            assert described(mine[pid], line) == line
        assert {event.pid for event in found} - {program.pid} == set(lines)
        assert {event.at_least for event in mine.values()} == {hung}
        assert Counter(event.op for event in found) == Counter(watch.stats.pending)
        assert watch.stats.total.seen == watch.stats.total.delivered


def above(pid: int) -> list[int]:
    """Return the pids of the ancestors of this process, from /proc."""
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return [parent, *above(parent)] if parent else []


@pytest.mark.parametrize("hung", [False, True])
def test_what_a_waiting_process_descends_from(tmp_path: Path, hung: bool) -> None:
    """Also if it has made no call during the trace: then only the listing describes it."""
    with waiting("begin('read', lambda: os.read(os.pipe()[0], 1))", tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["all"]), hung=hung)
        (event,) = [event for event in found if event.pid == program.lines[0]["pid"]]
        assert [process.pid for process in event.task.ancestors] == above(event.pid)
        assert event.task.ancestors[0].pid == program.pid


@pytest.mark.parametrize("hung", [False, True])
def test_threads_of_one_process(tmp_path: Path, hung: bool) -> None:
    """Ten threads of one process, in the same call on pipes of their own."""
    code = """
    def wait(fd):
        tids.append(threading.get_native_id())
        os.read(fd, 1)
    ends, tids = [os.pipe() for _ in range(10)], []
    for out, _ in ends:
        count = len(tids)
        threading.Thread(target=wait, args=(out,), daemon=True).start()
        while len(tids) == count: time.sleep(0.001)
        report("read", os.getpid(), tid=tids[-1], fd=out, path=os.readlink(f"/proc/self/fd/{out}"))
    """
    with waiting(textwrap.dedent(code), tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["pipe"]), hung=hung)
        mine = {event.tid: event for event in found if event.tid != program.pid}
        assert [described(mine[line["tid"]], line) for line in program.lines] == program.lines
        assert len(mine) == 10


def test_durations(tmp_path: Path) -> None:
    """Compared with the clock of the process that began the call; a lower bound if the trace began later."""
    code = """
    out, into = os.pipe()
    began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    begin("read", lambda: os.read(out, 1), began=began)
    """
    with waiting(textwrap.dedent(code), tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["pipe"]))
        (line,) = program.lines
        (event,) = (event for event in found if event.pid == line["pid"])
        assert not event.at_least
        assert 50_000_000 <= event.duration <= event.time - line["began"]
    (tmp_path / "other").mkdir()
    with waiting(textwrap.dedent(code), tmp_path / "other") as program:
        program.begin()
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        watch = Watch(Targets(pids=[program.pid]), wanted("read", types=["pipe"]))
        with watch:
            began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            wait_for(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) - began > 200_000_000)
        for event in watch.listings[0]:
            assert event.at_least
            assert event.time - began <= event.duration <= event.time - before


def test_without_latency_there_are_no_durations(tmp_path: Path) -> None:
    with waiting('out, into = os.pipe()\nbegin("read", lambda: os.read(out, 1))', tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["pipe"]), latency=False)
        assert {event.duration for event in found} == {0}
        assert {line["pid"] for line in program.lines} < {event.pid for event in found}


def test_a_call_that_returns_is_an_event_and_no_longer_listed(tmp_path: Path) -> None:
    code = """
    out, into = os.pipe()
    begin("read", lambda: os.read(out, 1), fd=out)
    print("begun", flush=True)
    sys.stdin.readline()
    os.write(into, b"x")
    os.waitpid(children.pop(), 0)
    """
    with waiting(textwrap.dedent(code), tmp_path) as program:
        watch = Watch(Targets(command=program.pid), wanted("read", types=["pipe"], min_latency=1000))
        with watch:
            program.begin()
            watch.session.list_pending()
            release(program.process)
            program.begin()
            watch.session.run_once()
        (line,) = program.lines
        during = [event for event in watch.listings[0] if event.pid == line["pid"]]
        assert not [event for listing in watch.listings[1:] for event in listing if event.pid == line["pid"]]
        (event,) = (event for event in watch.events if event.pid == line["pid"] and event.fd == line["fd"])
        assert [one.fd for one in during] == [line["fd"]]
        assert (event.result, event.known) == (1, True)
        assert event.duration > during[0].duration
        stats = watch.stats.ops["read"]
        assert stats.seen == stats.delivered == len(watch.events)


def test_running_and_stopped_processes_are_in_no_call(tmp_path: Path) -> None:
    """A loop that makes no call, one that makes short calls, and a read that SIGSTOP has interrupted."""
    code = """
    out, into = os.pipe()
    begin("read", lambda: os.read(out, 1))
    def spin():
        while True: pass
    def hurry():
        while True: os.stat("/")
    for act in (spin, hurry):
        pid = os.fork()
        if not pid: act()
        children.append(pid)
    print(json.dumps({"pid": children[0]}), flush=True)
    """
    with waiting(textwrap.dedent(code), tmp_path) as program:
        program.begin()
        stopped = program.lines[-1]["pid"]
        watch = Watch(Targets(pids=[program.pid]), wanted("all", types=["all"]))
        with watch:
            os.kill(stopped, signal.SIGSTOP)
            wait_for(lambda: Path(f"/proc/{stopped}/stat").read_text().rpartition(") ")[2][0] == "T")
        (found,) = watch.listings
        assert {event.pid for event in found} == {program.pid}, "the program waits for a line"


def test_the_file_is_that_of_the_beginning(tmp_path: Path) -> None:
    """Another thread replaces the file behind the descriptor meanwhile."""
    code = """
    out, into = os.pipe()
    was = os.readlink(f"/proc/self/fd/{out}")
    tids = []
    def wait():
        tids.append(threading.get_native_id())
        os.read(out, 1)
    threading.Thread(target=wait, daemon=True).start()
    while not tids or not waits_in(tids[0], "read"): time.sleep(0.001)
    other = os.open(root, os.O_RDONLY)
    os.dup2(other, out)
    report("read", os.getpid(), tid=tids[0], path=was)
    """
    with waiting(textwrap.dedent(code), tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["all"]))
        (line,) = program.lines
        (event,) = (event for event in found if event.tid == line["tid"])
        assert described(event, line) == line


def test_a_child_without_events_is_described(tmp_path: Path) -> None:
    """A process without events is described in full: command, executable, parent."""
    with waiting('out, into = os.pipe()\nbegin("read", lambda: os.read(out, 1))', tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["pipe"]), hung=True)
        (line,) = program.lines
        (task,) = (event.task for event in found if event.pid == line["pid"])
        assert task.comm == Path(f"/proc/{line['pid']}/comm").read_bytes().strip()
        assert task.exe == os.fsencode(os.readlink(f"/proc/{line['pid']}/exe"))
        assert (task.ppid, task.credentials.euid, task.credentials.egid) == (program.pid, os.geteuid(), os.getegid())
