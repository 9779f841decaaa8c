"""Calls under way: every process here waits in a call that does not return by itself, and says which.

Apart from test_calls.py, because what is listed has made no event. The oracle is what the program says it does, and
/proc/PID/syscall, by which it waits until its children have begun.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.core.calls import CALLS
from filetap.selection.filters import Filters
from filetap.selection.targets import Targets, find_cgroup
from tests.kernel.harness import Event, Watch, at_level, hold, names_requests, release, wanted
from tests.timeouts import scaled, wait_for

NUMBERS: Final = {call.name: call.nr for call in CALLS if 0 <= call.nr < 512}
COMMON: Final = f"""
import ctypes, fcntl, json, os, signal, struct, sys, threading, time
root, numbers, children = sys.argv[1], {NUMBERS}, []
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    return libc.syscall(ctypes.c_long(numbers[name]), *map(word, arguments))
def word(value):
    return ctypes.c_long(value) if isinstance(value, int) else value
def text(value):
    return ctypes.c_char_p(os.fsencode(value))
def waits_in(task, name):
    words = open(f"/proc/{{task}}/syscall").read().split()
    assert words[0] != "-1", f"{{name}} has returned"
    return words[0] == str(numbers[name])
def say(call, pid, **said):
    while not waits_in(said.get("tid", pid), call):
        time.sleep(0.001)
    print(json.dumps({{"call": call, "pid": pid, "tid": pid}} | said), flush=True)
def begin(call, act, **said):
    pid = os.fork()
    if not pid:
        act()
        os._exit(0)
    children.append(pid)
    say(call, pid, **said)
def end():
    print("begun", flush=True)
    sys.stdin.readline()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
"""
"""A program that begins with this has children that wait; it says what each of them does, and ends them at a line of input."""


class Waiting:
    """A program of COMMON. Held first, it does nothing until ``begin``."""

    def __init__(self, code: str, root: Path) -> None:
        self.process = hold([sys.executable, "-S", "-E", "-c", COMMON + code + "\nend()", str(root)], start_new_session=True)
        self.pid = self.process.pid
        self.lines: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Until all of its children wait."""
        release(self.process)
        assert self.process.stdout
        while (line := self.process.stdout.readline()) != b"begun\n":
            assert line, "it has ended"
            self.lines.append(json.loads(line))

    def close(self) -> None:
        """With all of its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.communicate()


@contextmanager
def waiting(code: str, root: Path) -> Iterator[Waiting]:
    program = Waiting(code, root)
    try:
        yield program
    finally:
        program.close()


def listed(program: Waiting, filters: Filters, *, hung: bool = False, **options: Any) -> tuple[list[Event], Watch]:
    """What is listed at the end of a trace of it, which begins before they wait, or when they are ``hung`` already."""
    if hung:
        program.begin()
    watch = Watch(Targets(pids=[program.pid]) if hung else Targets(command=program.pid), filters, **options)
    with watch:
        if not hung:
            program.begin()
    (found,) = watch.listings or [[]]
    assert not [event for event in found if event.known], "a call under way has no result"
    return found, watch


def described(event: Event, said: dict[str, Any]) -> dict[str, Any]:
    """The same of an event as a line says."""
    known = {"call": event.call, "pid": event.pid, "tid": event.tid, "path": os.fsdecode(event.path)}
    known |= {"target": os.fsdecode(event.target_path), "fd": event.fd, "size": event.size, "offset": event.offset}
    known |= {"target_fd": event.target_fd, "argument": event.argument}
    return {name: value for name, value in known.items() if name in said}


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
    """A call of each kind, begun under the trace, or before it."""
    with waiting(BLOCKED, tmp_path) as program:
        found, watch = listed(program, wanted("all", types=["all"]), hung=hung)
        lines = {line["pid"]: line for line in program.lines}
        mine = {event.pid: event for event in found if event.pid in lines}
        for pid, said in lines.items():
            assert described(mine[pid], said) == said
        assert {event.pid for event in found} - {program.pid} == set(lines)
        assert {event.at_least for event in mine.values()} == {hung}
        assert Counter(event.op for event in found) == Counter(watch.stats.pending)
        assert watch.stats.total.seen == watch.stats.total.delivered


def above(pid: int) -> list[int]:
    """The numbers of the processes that this one descends from, as /proc has them."""
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return [parent, *above(parent)] if parent else []


@pytest.mark.parametrize("hung", [False, True])
def test_what_a_waiting_process_descends_from(tmp_path: Path, hung: bool) -> None:
    """Also where it has made no call under the trace: only the listing describes it then."""
    with waiting("begin('read', lambda: os.read(os.pipe()[0], 1))", tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["all"]), hung=hung)
        (event,) = [event for event in found if event.pid == program.lines[0]["pid"]]
        assert [process.pid for process in event.task.ancestors] == above(event.pid)
        assert event.task.ancestors[0].pid == program.pid


class DeadServer(threading.Thread):
    """Of a file system (include/uapi/linux/fuse.h): it has one file, "there", which can be opened. Every other name is waited for, and
    so is every read: as over a network whose host is gone."""

    MOUNT, ENTRY, OPENED = 26, 1, 14

    def __init__(self, device: int) -> None:
        super().__init__(daemon=True)
        self._device = device
        self.over = False

    def run(self) -> None:
        requests = select.poll()
        requests.register(self._device, select.POLLIN)
        while not self.over:
            if requests.poll(20):
                request = os.read(self._device, 1 << 17)
                if (answer := self.answer(request)) is not None:
                    os.write(self._device, struct.pack("<IiQ", 16 + len(answer), 0, struct.unpack_from("<Q", request, 8)[0]) + answer)

    def answer(self, request: bytes) -> bytes | None:
        opcode = struct.unpack_from("<I", request, 4)[0]
        if opcode == self.MOUNT:
            return struct.pack("<IIIIHHII40x", 7, 23, 0, 1 << 15, 0, 0, 4096, 0)[:64]  # FUSE_ASYNC_DIO
        if opcode == self.ENTRY and request[40:].rstrip(b"\0") == b"there":
            attributes = struct.pack("<6Q10I", 2, 1 << 20, 2048, 0, 0, 0, 0, 0, 0, 0o100644, 1, 0, 0, 0, 4096, 0)
            return struct.pack("<4Q2I", 2, 1, 1 << 30, 1 << 30, 0, 0) + attributes
        return struct.pack("<QII", 1, 1, 0) if opcode == self.OPENED else None  # FOPEN_DIRECT_IO


@contextmanager
def dead_mount(folder: Path) -> Iterator[Path]:
    subprocess.run(["modprobe", "-q", "fuse"], check=False)
    folder.mkdir()
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    assert not libc.mount(b"dead", os.fsencode(folder), b"fuse", 0, options), os.strerror(ctypes.get_errno())
    server = DeadServer(device)
    server.start()
    try:
        yield folder
    finally:
        libc.umount2(os.fsencode(folder), 2)  # MNT_DETACH
        server.over = True
        server.join()
        os.close(device)  # whoever waits is told that nobody answers; until then nothing can kill them


NAMED: Final = """
dead, near = root + "/dead", root + "/near"
os.mkdir(near)
held = os.open(near, os.O_RDONLY)
def named(call_, act, path, **said): begin(call_, act, path=path, **said)
one, two = dead + "/one", dead + "/two"
named("newfstatat", lambda: call("newfstatat", held, text("../dead/./one"), bytes(144), 0), one)
named("statx", lambda: call("statx", -100, text(one), 0, 0, bytes(256)), one)
named("access", lambda: call("access", text(one), 4), one, size=4)
named("readlink", lambda: call("readlink", text(one), bytes(10), 10), one, size=10)
named("getxattr", lambda: call("getxattr", text(one), text("user.a"), 0, 0), one)
named("mkdir", lambda: call("mkdir", text(one), 0o750), one, size=0o750)
named("rmdir", lambda: call("rmdir", text(one)), one)
named("unlink", lambda: call("unlink", text(one)), one)
named("unlinkat", lambda: call("unlinkat", held, text("../dead/one"), 0x200), one, op="rmdir")
named("mknod", lambda: call("mknod", text(one), 0o10600, 0), one, size=0o10600)
named("rename", lambda: call("rename", text(one), text(two)), one, target=two)
named("renameat2", lambda: call("renameat2", held, text("../dead/here"), -100, text(two), 1), dead + "/here", target=two, argument=1)
named("link", lambda: call("link", text(near), text(two)), near, target=two)
named("symlink", lambda: call("symlink", text("to/what"), text(two)), dead + "/to/what", target=two)
named("chmod", lambda: call("chmod", text(one), 0o600), one, size=0o600)
named("chown", lambda: call("chown", text(one), 5, 6), one, offset=5, size=6)
named("truncate", lambda: call("truncate", text(one), 12345), one, size=12345)
named("utimensat", lambda: call("utimensat", -100, text(one), 0, 0), one)
named("chdir", lambda: call("chdir", text(one)), one)
named("execve", lambda: call("execve", text(one), 0, 0), one)
named("statfs", lambda: call("statfs", text(one), bytes(120)), one)
named("open", lambda: call("open", text(one), os.O_CREAT | os.O_EXCL, 0o640), one, offset=os.O_CREAT | os.O_EXCL, size=0o640)
in_root = (ctypes.c_uint64 * 3)(0, 0, 0x10)
top = os.open(root, os.O_RDONLY)
named("openat2", lambda: call("openat2", top, text("/../dead/one"), in_root, 24), one)
named("mount", lambda: call("mount", text("scratch"), text(one), text("tmpfs"), 0, 0), "", target=one)
named("mount", lambda: call("mount", text(near), text(one), 0, 0x1000, 0), near, target=one)  # MS_BIND
named("creat", lambda: call("creat", text(one), 0o641), one, offset=os.O_CREAT | os.O_WRONLY | os.O_TRUNC, size=0o641)
"""


def test_names_on_a_file_system_that_does_not_answer(tmp_path: Path) -> None:
    with waiting(NAMED, tmp_path) as program, dead_mount(tmp_path / "dead"):
        found, _ = listed(program, wanted("all"), hung=True)
        mine = {event.pid: event for event in found}
        for said in program.lines:
            event = mine[said["pid"]]
            assert described(event, said) == {name: value for name, value in said.items() if name != "op"}
            assert event.op == said.get("op", event.op)
            assert not event.file or not event.file.resolved
        assert len(found) == len(program.lines)


REQUESTED: Final = """
import mmap
def open_there(): return os.open(root + "/dead/there", os.O_RDWR | os.O_DIRECT)
buffer = mmap.mmap(-1, 8192)
at = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
out, into = os.pipe()
os.mkfifo(root + "/fifo")

class Ring:
    # Its parameters: sq_entries, then the offsets of the two rings (include/uapi/linux/io_uring.h)
    def __init__(self):
        parameters = ctypes.create_string_buffer(120)
        self.fd = libc.syscall(425, 8, parameters)
        head, tail, mask, entries, flags, dropped, array = struct.unpack_from("<7I", parameters, 40)
        self.tail, self.sq, self.sqes = tail, mmap.mmap(self.fd, array + 32), mmap.mmap(self.fd, 8 * 64, offset=0x10000000)
        for n in range(8): struct.pack_into("<I", self.sq, array + 4 * n, n)
        self.pushed = 0
    def push(self, call_, opcode, flags, of, place, address, length, more=0, **said):
        entry = struct.pack("<BBHiQQII", opcode, flags, 0, of, place, address, length, more).ljust(64, bytes(1))
        self.sqes[self.pushed * 64:(self.pushed + 1) * 64] = entry
        self.pushed += 1
        struct.pack_into("<I", self.sq, self.tail, self.pushed)
        assert libc.syscall(426, self.fd, 1, 0, 0, 0, 0) == 1
        print(json.dumps({"call": call_, "pid": os.getpid(), "tid": os.getpid()} | said), flush=True)

def by_ring():
    ring, there = Ring(), open_there()
    registered = struct.pack("<2i", there, out)
    assert libc.syscall(427, ring.fd, 2, registered, 2) == 0
    vectors = ctypes.create_string_buffer(struct.pack("<4Q", at, 100, at, 23))
    name = ctypes.create_string_buffer(os.fsencode(root) + b"/fifo")
    pipe = os.readlink(f"/proc/self/fd/{out}")
    ring.push("io_uring:read", 22, 0, out, 0, at, 77, path=pipe, fd=out, size=77)
    ring.push("io_uring:readv", 1, 0, out, 0, ctypes.addressof(vectors), 2, path=pipe, fd=out, size=123)
    ring.push("io_uring:read", 22, 1, 1, 0, at, 55, path=pipe, fd=-1, size=55)
    ring.push("io_uring:read", 22, 16, there, 4096, at, 512, path=root + "/dead/there", fd=there, offset=4096, size=512)
    ring.push("io_uring:openat", 18, 16, -100, 0, ctypes.addressof(name), 0, os.O_RDONLY, path=root + "/fifo", fd=-1)
    done = os.open(root, os.O_RDONLY)
    ring.push("io_uring:fsync", 3, 0, done, 0, 0, 0, over=True)

def by_aio(also=()):
    context = ctypes.c_ulong()
    assert libc.syscall(206, 8, ctypes.byref(context)) == 0
    plain = os.open(root + "/plain", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    os.ftruncate(plain, 8192)
    for fd, offset, size, over in (*also, (plain, 0, 4096, True)):
        block = ctypes.create_string_buffer(struct.pack("<QIIHhIQQq24x", 0, 0, 0, 0, 0, fd, at, size, offset))
        blocks.append(block)
        assert libc.syscall(209, context, 1, ctypes.byref(ctypes.c_void_p(ctypes.addressof(block)))) == 1
        print(json.dumps({"call": "io_submit", "pid": os.getpid(), "tid": os.getpid(), "fd": fd, "offset": offset, "size": size} |
                         ({"over": True} if over else {"path": root + "/dead/there"})), flush=True)
    # What is complete stands in the ring, and nobody has fetched it: its tail is the fourth number.
    while not ctypes.c_uint32.from_address(context.value + 12).value: time.sleep(0.001)
blocks = []
"""
"""Requests as plain numbers, for there are no libraries of them here. What is "over" has completed."""


@names_requests
@pytest.mark.parametrize("latency", [True, False])
def test_requests_of_io_uring_that_have_not_completed(tmp_path: Path, latency: bool) -> None:
    """On descriptors, on a registered file, in a worker of the kernel's; not those that have."""
    with waiting(REQUESTED + "by_ring()", tmp_path) as program, dead_mount(tmp_path / "dead"):
        found, watch = listed(program, wanted("all", types=["pipe"]), latency=latency)
        waits = [said for said in program.lines if "over" not in said]
        requests = [event for event in found if event.call.startswith("io_uring:")]
        reported = [described(event, said) for event, said in zip(sorted_as(requests, waits), waits, strict=True)]
        assert reported == waits
        assert len(requests) == len(waits)
        assert {event.duration > 0 for event in requests} == {latency}
        assert watch.stats.total.seen == watch.stats.total.delivered


def sorted_as(events: list[Event], lines: list[dict[str, Any]]) -> list[Event]:
    """In the order of these lines: no two have one call and size."""
    order = [(line["call"], line.get("size")) for line in lines]
    return sorted(events, key=lambda event: order.index((event.call, event.size if "read" in event.call else None)))


def test_requests_of_io_submit_that_have_not_completed(tmp_path: Path) -> None:
    """Not the one whose completion the process has not fetched."""
    with waiting(REQUESTED + "by_aio([(open_there(), 8192, 1024, False)])", tmp_path) as program, dead_mount(tmp_path / "dead"):
        found, _ = listed(program, wanted("read"))
        (waits,) = (said for said in program.lines if "over" not in said)
        (request,) = (event for event in found if event.call == "io_submit")
        assert described(request, waits) == waits
        assert request.duration > 0


def test_requests_end_with_their_process(tmp_path: Path) -> None:
    """One of io_submit whose completion was never fetched: nobody can say any more that it has one."""
    with waiting(REQUESTED + "by_aio()", tmp_path) as program, Watch(Targets(all=True), wanted("read", paths=[str(tmp_path)])) as watch:
        program.begin()
        watch.session.list_pending()
        release(program.process)
        program.process.communicate()
    assert watch.listings == []
    assert not watch.stats.pending


@pytest.mark.parametrize("hung", [False, True])
def test_threads_wait_each_for_itself(tmp_path: Path, hung: bool) -> None:
    """Ten of one process, in the same call on pipes of their own."""
    code = """
    def wait(fd):
        tids.append(threading.get_native_id())
        os.read(fd, 1)
    ends, tids = [os.pipe() for _ in range(10)], []
    for out, _ in ends:
        count = len(tids)
        threading.Thread(target=wait, args=(out,), daemon=True).start()
        while len(tids) == count: time.sleep(0.001)
        say("read", os.getpid(), tid=tids[-1], fd=out, path=os.readlink(f"/proc/self/fd/{out}"))
    """
    with waiting(textwrap.dedent(code), tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["pipe"]), hung=hung)
        mine = {event.tid: event for event in found if event.tid != program.pid}
        assert [described(mine[said["tid"]], said) for said in program.lines] == program.lines
        assert len(mine) == 10


def test_how_long_they_have_waited(tmp_path: Path) -> None:
    """By the clock of whoever began them; no more than since the trace began where that was later."""
    code = """
    out, into = os.pipe()
    began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    begin("read", lambda: os.read(out, 1), began=began)
    """
    with waiting(textwrap.dedent(code), tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["pipe"]))
        (said,) = program.lines
        (event,) = (event for event in found if event.pid == said["pid"])
        assert not event.at_least
        assert 50_000_000 <= event.duration <= event.time - said["began"]
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


def test_without_latency_nobody_knows_how_long(tmp_path: Path) -> None:
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
        (said,) = program.lines
        during = [event for event in watch.listings[0] if event.pid == said["pid"]]
        assert not [event for listing in watch.listings[1:] for event in listing if event.pid == said["pid"]]
        (event,) = (event for event in watch.events if event.pid == said["pid"] and event.fd == said["fd"])
        assert [one.fd for one in during] == [said["fd"]]
        assert (event.result, event.known) == (1, True)
        assert event.duration > during[0].duration
        stats = watch.stats.ops["read"]
        assert stats.seen == stats.delivered == len(watch.events)


BOTH: Final = """
os.mkdir(root + "/in"); os.mkdir(root + "/out")
for folder in ("in", "out"):
    path = f"{root}/{folder}/file"
    mine = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(mine, fcntl.LOCK_EX)
    begin("flock", lambda: fcntl.flock(os.open(path, os.O_RDWR), fcntl.LOCK_EX), path=path)
    os.mkfifo(f"{root}/{folder}/fifo")
    begin("openat", lambda: os.open(f"{root}/{folder}/fifo", os.O_RDONLY), path=f"{root}/{folder}/fifo")
out, into = os.pipe()
begin("read", lambda: os.read(out, 1), path=os.readlink(f"/proc/self/fd/{out}"))
"""


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["in/fifo", "in/file", "out/fifo", "out/file"]),
        ({"types": ["pipe"]}, ["in/fifo", "in/file", "out/fifo", "out/file", "pipe"]),
        ({"events": ["lock"]}, ["in/file", "out/file"]),
        ({"paths": ["in"]}, ["in/fifo", "in/file"]),
        ({"exclude": ["in"]}, ["out/fifo", "out/file"]),
        ({"paths": ["in/file"]}, ["in/file"]),
        ({"failed": True}, []),
        ({"min_latency": 10**7}, ["in/fifo", "in/file", "out/fifo", "out/file"]),
        ({"min_latency": 10**12}, []),
    ],
)
def test_filters(tmp_path: Path, filters: dict[str, Any], names: list[str]) -> None:
    """PATHs are below the test's own directory."""
    where = {name: [str(tmp_path / path) for path in filters[name]] for name in ("paths", "exclude") if name in filters}
    with waiting(BOTH, tmp_path) as program:
        program.begin()
        chosen = wanted(*filters.get("events", ()), **{k: v for k, v in filters.items() if k != "events"} | where)
        watch = Watch(Targets(pids=[program.pid]), chosen)
        with watch:
            began = time.monotonic()
            wait_for(lambda: time.monotonic() - began > 0.05)
        mine = {line["pid"] for line in program.lines}
        found = [event for listing in watch.listings for event in listing if event.pid in mine]
        paths = [os.fsdecode(event.path).removeprefix(f"{tmp_path}/").partition(":")[0] for event in found]
        assert sorted(paths) == names


def test_whose(tmp_path: Path, cgroup: Path) -> None:
    """By cgroup, by name, and of everybody; never filetap's own."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    thread = threading.Thread(target=lambda: os.close(os.open(fifo, os.O_RDONLY)), daemon=True)
    thread.start()
    inside, outside = (subprocess.Popen(["cat", fifo], stdin=subprocess.DEVNULL) for _ in range(2))
    try:
        (cgroup / "cgroup.procs").write_text(str(inside.pid))
        wait_for(lambda: all(waits_in(process.pid, "openat") for process in (inside, outside)))
        whose = {
            "cgroup": (Targets(cgroups=[find_cgroup(str(cgroup))]), {inside.pid}),
            "comm": (Targets(comms=[b"cat"]), {inside.pid, outside.pid}),
            "both": (Targets(cgroups=[find_cgroup(str(cgroup))], comms=[b"cat"]), {inside.pid}),
            "all": (Targets(all=True), {inside.pid, outside.pid}),
            "pid": (Targets(pids=[outside.pid]), {outside.pid}),
        }
        for name, (targets, pids) in whose.items():
            watch = Watch(targets, wanted("open", paths=[str(tmp_path)]))
            with watch:
                pass
            assert {event.pid for listing in watch.listings for event in listing} == pids, name
    finally:
        for process in (inside, outside):
            process.kill()
            process.wait()
        os.close(os.open(fifo, os.O_RDWR))
        thread.join(scaled(10))


def waits_in(pid: int, call: str) -> bool:
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == str(NUMBERS[call])


def test_who_runs_or_was_stopped_is_in_no_call(tmp_path: Path) -> None:
    """A loop that makes no call, one that makes short ones, and a read that a stop has interrupted."""
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
        assert {event.pid for event in found} == {program.pid}, "it waits for a line"


def test_the_file_that_it_began_with(tmp_path: Path) -> None:
    """Another thread puts another file behind the descriptor meanwhile."""
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
    say("read", os.getpid(), tid=tids[0], path=was)
    """
    with waiting(textwrap.dedent(code), tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["all"]))
        (said,) = program.lines
        (event,) = (event for event in found if event.tid == said["tid"])
        assert described(event, said) == said


def test_a_child_that_was_told_nothing_of_has_a_name(tmp_path: Path) -> None:
    """What has made no event is described all the same: who it is, where it runs, whose child it is."""
    with waiting('out, into = os.pipe()\nbegin("read", lambda: os.read(out, 1))', tmp_path) as program:
        found, _ = listed(program, wanted("read", types=["pipe"]), hung=True)
        (said,) = program.lines
        (task,) = (event.task for event in found if event.pid == said["pid"])
        assert task.comm == Path(f"/proc/{said['pid']}/comm").read_bytes().strip()
        assert task.exe == os.fsencode(os.readlink(f"/proc/{said['pid']}/exe"))
        assert (task.ppid, task.credentials.euid, task.credentials.egid) == (program.pid, os.geteuid(), os.getegid())


@pytest.mark.hooks
def test_at_the_level_of_hooks_what_they_have_noted(tmp_path: Path) -> None:
    """The kernel has resolved the FIFO by the time that its open waits; locks have no hook."""
    with waiting(BOTH, tmp_path) as program:
        chosen, options = at_level("vfs", types=["pipe"])
        found, _ = listed(program, chosen, **options)
        lines = {line["pid"]: line for line in program.lines if line["call"] != "flock"}
        mine = {event.pid: event for event in found if event.pid != program.pid}
        assert {pid: os.fsdecode(event.path) for pid, event in mine.items()} == {pid: line["path"] for pid, line in lines.items()}
        assert {event.call for event in mine.values()} == {"security_file_open", "security_file_permission"}
        assert all(event.file and event.file.resolved for event in mine.values())
        assert all(event.duration > 0 and not event.at_least for event in mine.values())
