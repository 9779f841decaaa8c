"""Calls under way on a file system that does not answer, and requests of io_uring and io_submit that have not completed.

Separate from test_pending_calls.py, because a FUSE server is needed here that never replies.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.selection.targets import Targets
from tests.kernel.harness import Event, Watch, names_requests, release, wanted
from tests.kernel.waiting import described, listed, waiting


class DeadServer(threading.Thread):
    """A FUSE server (include/uapi/linux/fuse.h) with one file, "there", which can be opened. Look-ups of other names and all reads get
    no reply, as over a network whose host is down."""

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
        os.close(device)  # waiting processes get an error; until then nothing can kill them


NAMED: Final = """
dead, near = root + "/dead", root + "/near"
os.mkdir(near)
held = os.open(near, os.O_RDONLY)
def named(call_, act, path, **fields): begin(call_, act, path=path, **fields)
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
        for line in program.lines:
            event = mine[line["pid"]]
            assert described(event, line) == {name: value for name, value in line.items() if name != "op"}
            assert event.op == line.get("op", event.op)
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
    def push(self, call_, opcode, flags, of, place, address, length, more=0, **fields):
        entry = struct.pack("<BBHiQQII", opcode, flags, 0, of, place, address, length, more).ljust(64, bytes(1))
        self.sqes[self.pushed * 64:(self.pushed + 1) * 64] = entry
        self.pushed += 1
        struct.pack_into("<I", self.sq, self.tail, self.pushed)
        assert libc.syscall(426, self.fd, 1, 0, 0, 0, 0) == 1
        print(json.dumps({"call": call_, "pid": os.getpid(), "tid": os.getpid()} | fields), flush=True)

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
    # Wait for a completion in the ring that has not been fetched: the ring's tail is the fourth number.
    while not ctypes.c_uint32.from_address(context.value + 12).value: time.sleep(0.001)
blocks = []
"""
"""Requests built as plain numbers, because there is no library for them here. Requests with "over" have completed."""


@names_requests
@pytest.mark.parametrize("latency", [True, False])
def test_requests_of_io_uring_that_have_not_completed(tmp_path: Path, latency: bool) -> None:
    """Requests on descriptors, on a registered file, and in a kernel worker are listed; completed ones are not."""
    with waiting(REQUESTED + "by_ring()", tmp_path) as program, dead_mount(tmp_path / "dead"):
        found, watch = listed(program, wanted("all", types=["pipe"]), latency=latency)
        waits = [line for line in program.lines if "over" not in line]
        requests = [event for event in found if event.call.startswith("io_uring:")]
        reported = [described(event, line) for event, line in zip(sorted_as(requests, waits), waits, strict=True)]
        assert reported == waits
        assert len(requests) == len(waits)
        assert {event.duration > 0 for event in requests} == {latency}
        assert watch.stats.total.seen == watch.stats.total.delivered


def sorted_as(events: list[Event], lines: list[dict[str, Any]]) -> list[Event]:
    """Return the events in the order of these lines: no two have the same call and size."""
    order = [(line["call"], line.get("size")) for line in lines]
    return sorted(events, key=lambda event: order.index((event.call, event.size if "read" in event.call else None)))


def test_requests_of_io_submit_that_have_not_completed(tmp_path: Path) -> None:
    """A request whose completion the process has not fetched is not listed."""
    with waiting(REQUESTED + "by_aio([(open_there(), 8192, 1024, False)])", tmp_path) as program, dead_mount(tmp_path / "dead"):
        found, _ = listed(program, wanted("read"))
        (waits,) = (line for line in program.lines if "over" not in line)
        (request,) = (event for event in found if event.call == "io_submit")
        assert described(request, waits) == waits
        assert request.duration > 0


def test_requests_end_with_their_process(tmp_path: Path) -> None:
    """A request of io_submit whose completion was never fetched: after the process ends nothing shows that it has completed."""
    with waiting(REQUESTED + "by_aio()", tmp_path) as program, Watch(Targets(all=True), wanted("read", paths=[str(tmp_path)])) as watch:
        program.begin()
        watch.session.list_pending()
        release(program.process)
        program.process.communicate()
    assert watch.listings == []
    assert not watch.stats.pending
