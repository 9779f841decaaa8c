"""Programs that the kernel skips (docs/adr/0019): counted, and never waited for.

None is skipped because another task was inside a program, none because of filetap's own map operations; skips caused by other
processes are counted. Separate, because it is about events that the kernel half never sees. The oracles are the kernel's seccomp
notifications of bpf(2), /proc, and the reported births.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from select import POLLIN, poll
from typing import Final

import pytest

from filetap.kernel.libbpf import check, library
from filetap.kernel.maps import ARRAY
from filetap.kernel.types import KernelTypes
from filetap.selection.targets import Targets
from tests.kernel.harness import Run, Watch, at_level, by_path, hold, names_requests, release, trace, wanted
from tests.timeouts import scaled, wait_for

WORK: Final = (1, 2, 3, 21, 24, 25, 26, 27)
"""BPF_MAP_*_ELEM and BPF_MAP_*_BATCH, except GET_NEXT_KEY: the operations inside of bpf_disable_instrumentation()."""
_SECCOMP, _BPF = 317, 321
_FILTER, _NEW_LISTENER, _CONTINUE = 1, 8, 1
_RECEIVE, _ANSWER = 0xC0502100, 0xC0182101
_LOAD, _SAME, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000


def listener() -> int:
    """Return a seccomp descriptor that must permit each map operation of this thread and of threads it starts."""
    notify = len(WORK) + 4
    code = [(_LOAD, 0, 0, 0), (_SAME, 0, notify - 3, _BPF), (_LOAD, 0, 0, 16)]
    code += [(_SAME, notify - 3 - at, 0, command) for at, command in enumerate(WORK, start=1)]
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in code))
    whole = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(program)))
    fd = int(ctypes.CDLL(None, use_errno=True).syscall(_SECCOMP, _FILTER, _NEW_LISTENER, whole))
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return fd


def policies(work: Callable[[], object]) -> list[int]:
    """Return the thread's scheduling policy at each map operation of a child process."""
    ours, its = socket.socketpair()
    child = os.fork()
    if not child:
        status = 1
        try:
            socket.send_fds(its, [b"x"], [listener()])
            work()
            status = 0
        finally:
            os._exit(status)
    its.close()
    with ours:
        found = list(_answer_requests(socket.recv_fds(ours, 1, 1)[1][0], os.pidfd_open(child)))
    assert os.waitpid(child, 0)[1] == 0
    return found


def _answer_requests(fd: int, child: int) -> Iterator[int]:
    """Answer until the child has ended: older kernels release its filter only after a wait for it."""
    waiting = poll()
    waiting.register(fd, POLLIN)
    waiting.register(child, POLLIN)
    while child not in (ready := dict(waiting.poll())):
        if not ready[fd] & POLLIN:
            break
        request = bytearray(80)  # struct seccomp_notif
        fcntl.ioctl(fd, _RECEIVE, request)
        number, thread = struct.unpack_from("<QI", request)
        yield os.sched_getscheduler(thread)
        fcntl.ioctl(fd, _ANSWER, struct.pack("<QqiI", number, 0, 0, _CONTINUE))
    os.close(fd)
    os.close(child)


def test_map_operations_are_not_preempted(tmp_path: Path) -> None:
    """From the start to the statistics: constants, rules, targets, handlers, sums."""

    def work() -> None:
        trace(["/bin/sh", "-c", f"echo x >{tmp_path}/file"], wanted("write", paths=[str(tmp_path)]))
        trace(["/bin/true"], watch={"aggregate": True})

    found = policies(work)
    assert len(found) > 20
    assert set(found) == {os.SCHED_FIFO}


TWO: Final = """
import ctypes, json, mmap, os, struct, sys, time
what, path, ends = sys.argv[1], sys.argv[2], time.monotonic() + float(sys.argv[3])
with open(path, "wb") as file:
    file.truncate(mmap.PAGESIZE)
os.sched_setaffinity(0, {0})
above = not os.fork()
fd, libc = os.open(path, os.O_RDWR), ctypes.CDLL(None)
def chmod():
    while True:
        yield os.chmod(path, 0o600)
def utime():
    while True:
        yield os.utime(path, (1, 1))
def fault():
    mapped = mmap.mmap(fd, mmap.PAGESIZE)
    while True:
        mapped.madvise(mmap.MADV_DONTNEED)
        yield mapped[0]
def ring():
    params, page = ctypes.create_string_buffer(120), ctypes.create_string_buffer(mmap.PAGESIZE)  # struct io_uring_params
    ring = libc.syscall(425, 1, params)
    tail, head = struct.unpack_from("<44xI32xI", params.raw)  # of submissions, of completions
    rings, requests = mmap.mmap(ring, mmap.PAGESIZE), mmap.mmap(ring, mmap.PAGESIZE, offset=0x10000000)
    requests[:28] = struct.pack("<B3xiQQI", 22, fd, 0, ctypes.addressof(page), len(page))  # IORING_OP_READ
    for count in range(1, 1 << 32):
        rings[tail : tail + 4] = struct.pack("<I", count)
        assert libc.syscall(426, ring, 1, 1, 1, None, 0) == 1
        yield
        rings[head : head + 4] = struct.pack("<I", count)
again, done = {"chmod": chmod, "utime": utime, "fault": fault, "ring": ring}[what](), 0
if above:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
while time.monotonic() < ends and done < 30000:
    next(again)
    done += 1
    if above:
        time.sleep(0.0005)
print(json.dumps({"pid": os.getpid(), "done": done}), flush=True)
if not above:
    os.wait()
"""
"""Two threads on one CPU; one preempts the other at any moment, also inside a program of filetap's."""


def all_is_told(run: Run, file: Path) -> None:
    assert Counter(event.pid for event in by_path(run.events, file)) == {line["pid"]: line["done"] for line in run.lines}
    assert run.stats.missed == 0


@pytest.mark.parametrize(
    ("what", "name"), [("chmod", "chmod"), ("fault", "page_fault_user"), pytest.param("ring", "read", marks=names_requests)]
)
def test_a_preempted_program_hides_no_event(what: str, name: str, tmp_path: Path) -> None:
    run = trace([sys.executable, "-c", TWO, what, str(tmp_path / "file"), "3"], wanted(name))
    all_is_told(run, tmp_path / "file")


@pytest.mark.hooks
@pytest.mark.parametrize(("what", "hook"), [("chmod", "security_path_chmod"), ("utime", "vfs_utimes")])
def test_a_preempted_hook_hides_no_event(what: str, hook: str, tmp_path: Path) -> None:
    """One hook that LSM provides, and one that it does not."""
    run = trace([sys.executable, "-c", TWO, what, str(tmp_path / "file"), "3"], *at_level("vfs", "setattr"))
    assert hook in run.attach_types
    all_is_told(run, tmp_path / "file")


FAMILY: Final = """
import os, signal, sys
children = [os.fork() or signal.pause() for _ in range(3)]
print(*children, file=open(sys.argv[1], "w"), flush=True)
signal.pause()
"""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a held command and its children in a process group that ends with the test."""
    with hold([sys.executable, "-c", FAMILY, str(tmp_path / "pids")], start_new_session=True) as held:
        yield held
        os.killpg(held.pid, signal.SIGKILL)


def test_running_processes_are_found(family: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Running children too; not zombies."""
    pids = tmp_path / "pids"
    with Watch(Targets(command=family.pid), wanted("exit")) as watch:
        release(family)
        wait_for(lambda: pids.exists() and pids.read_text().endswith("\n"))
        first, *rest = [int(pid) for pid in pids.read_text().split()]
        living = watch.source.liveness
        assert living.found() == {family.pid, first, *rest}
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
        assert living.found() == {family.pid, *rest}
        os.killpg(family.pid, signal.SIGKILL)
        wait_for(lambda: living.found() == set())


@contextmanager
def worker_on_maps() -> Iterator[None]:
    """Start a preemptible process that works on a map of 4 MB on the first CPU all the time."""
    size = 4000 << 10
    fd = check(library().bpf_map_create(ARRAY, b"filetap_test", 4, size, 1, None), "map")
    key, value = ctypes.c_uint32(0), ctypes.create_string_buffer(size)
    worker = os.fork()
    if not worker:
        os.sched_setaffinity(0, {0})
        while not library().bpf_map_update_elem(fd, ctypes.byref(key), value, 0):
            pass
        os._exit(1)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        os.close(fd)


SLEEPERS: Final = """
import os, time
os.sched_setaffinity(0, {0})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
for _ in range(100):
    if not os.fork():
        time.sleep(0.005)
        os._exit(0)
    os.wait()
    time.sleep(0.005)
"""
"""Each wake-up preempts the thread on the first CPU."""


def nothing_is_skipped() -> bool:
    with KernelTypes() as types:
        return not types.preempts_tracepoints()


@pytest.mark.skipif(nothing_is_skipped(), reason="births and ends that may be skipped")
def test_an_end_that_was_skipped_is_not_waited_for(filetap: tuple[str, ...], tmp_path: Path) -> None:
    events, stats = tmp_path / "events", tmp_path / "account"
    outputs = ("-f", "json", "-o", str(events), "--stats", str(stats))
    with worker_on_maps():
        command = [*filetap, "trace", "-e", "process", *outputs, "--", sys.executable, "-c", SLEEPERS]
        done = subprocess.run(command, capture_output=True, timeout=scaled(60), check=False)
    assert done.returncode == 0
    rows = [json.loads(line) for line in events.read_text().splitlines()]
    born = {row["io"]["result"] for row in rows if row["event"]["action"] == "fork"}
    ended = {row["process"]["pid"] for row in rows if row["event"]["action"] == "exit"}
    assert born - ended, "no end was skipped of a process whose birth was seen"
    assert json.loads(stats.read_text())["missed"] > 0
    assert b"events may be missing: " in done.stderr
