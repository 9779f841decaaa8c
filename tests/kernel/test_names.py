"""Names as bytes: control characters, invalid UTF-8, very long names, and files that are in no directory.

Separate from test_paths.py, where names change. The oracle is the name that the test itself created.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel.harness import by_path, trace, wanted

Build = Callable[[str], str]


NAMES = {
    "newline": b"two\nlines",
    "escape": b"\x1b[31mred\x1b[0m\x07",
    "invalid": b"caf\xe9 \xff\xfe\x80",
    "utf-8": "grüße 漢字 🎉".encode(),
    "quotes": b"a\"b\\c'd",
    "space": b" lead and trail ",
    "long": b"n" * 255,
    "long-utf-8": ("ü" * 127).encode(),
    "dots": b"...",
    "deleted": b"file (deleted)",
    "control": bytes(range(1, 32)),
}


@pytest.mark.parametrize("name", NAMES)
def test_names(tmp_path: Path, name: str) -> None:
    """Exact bytes, for a file, for a directory, and for a failed name."""
    folder = os.fsencode(tmp_path) + b"/" + NAMES[name]
    os.mkdir(folder)
    path = folder + b"/" + NAMES[name]
    with open(path, "wb") as stream:
        stream.write(b"hello")
    run = trace([b"cat", path, path[:-1] + b"?"], wanted("open", "read"), stderr=subprocess.DEVNULL)
    reads = [event for event in run.events if event.op == "read" and event.result == 5]
    assert [event.path for event in reads] == [path]
    assert [event.path for event in run.events if event.result == -2 and event.path.startswith(folder)] == [path[:-1] + b"?"]


def test_name_of_the_command(tmp_path: Path) -> None:
    """Invalid UTF-8 too."""
    path = os.fsencode(tmp_path) + b"/c\xe9t\n"
    shutil.copy(b"/bin/cat", path)
    (tmp_path / "file").write_text("x")
    run = trace([path, tmp_path / "file"], wanted("read"))
    (event, *_) = by_path(run.events, tmp_path / "file")
    assert (event.task.comm, event.task.exe) == (b"c\xe9t\n", path)


@pytest.mark.parametrize("total", [4000, 4094, 4095])
def test_long_paths(total: int, tmp_path: Path) -> None:
    """Up to the longest that open(2) accepts, PATH_MAX with its NUL."""
    path = os.fsencode(tmp_path)
    while total - len(path) > 400:
        path += b"/" + b"d" * 250
        os.mkdir(path)
    path += b"/" + b"e" * (total - len(path) - 1 - 101) + b"/" + b"f" * 100 if total - len(path) <= 356 else b"/" + b"e" * 250
    if total - len(path) > 0:
        path += b"/" + b"f" * (total - len(path) - 1)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"hello")
    os.close(fd)
    assert len(path) == total
    run = trace([b"cat", path, path[:-1] + b"?"], wanted("open", "read"), stderr=subprocess.DEVNULL)
    (read,) = [event for event in run.events if event.op == "read" and event.result == 5]
    assert read.path == path
    assert read.file
    assert not read.file.truncated
    assert [event.path for event in run.events if event.result == -2 and len(event.path) > 3000] == [path[:-1] + b"?"]


def test_deeper_than_a_path_may_be(program: Build, tmp_path: Path) -> None:
    """A file below 5,000 bytes of directories, reached step by step: the path is complete, or its end with the truncation flag; never
    wrong."""
    run = trace([program("files"), "deep", tmp_path, "d" * 200, "25"], wanted("open", "write"))
    (write,) = [event for event in run.events if event.op == "write"]
    assert write.file
    whole = os.fsencode(tmp_path) + (b"/" + b"d" * 200) * 25 + b"/leaf"
    assert write.path == whole or (write.file.truncated and whole.endswith(write.path))
    shutil.rmtree(tmp_path / ("d" * 200))


def test_many_levels(program: Build, tmp_path: Path) -> None:
    """A thousand directories with short names."""
    run = trace([program("files"), "deep", tmp_path, "d", "1000"], wanted("write"))
    (write,) = run.events
    assert write.path == os.fsencode(tmp_path) + b"/d" * 1000 + b"/leaf"
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


OUTSIDE = """
import ctypes, json, os, select, socket, stat
libc = ctypes.CDLL(None, use_errno=True)
fds = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in os.listdir("/proc/self/ns")]
fds += [os.pidfd_open(os.getpid()), *os.pipe(), *(end.detach() for end in socket.socketpair())]
fds += [os.memfd_create("note"), os.eventfd(0), libc.epoll_create1(0), libc.inotify_init(), os.open(".", os.O_TMPFILE | os.O_RDWR)]
for number in (447, 323):  # memfd_secret, userfaultfd: not in every kernel
    fd = libc.syscall(number, 0)
    fds += [fd] if fd >= 0 else []
for fd in fds:
    kind = stat.S_IFMT(os.fstat(fd).st_mode)
    print(json.dumps({"fd": fd, "path": os.readlink(f"/proc/self/fd/{fd}"), "kind": kind, "inode": os.fstat(fd).st_ino}))
    os.close(fd)
"""


def test_files_in_no_directory(tmp_path: Path) -> None:
    """Name and type as in /proc/PID/fd and fstat(2): namespaces, pidfds, pipes, sockets, memfds, anonymous inodes. Files of pidfs are
    regular files, also where fstat(2) hides that."""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", OUTSIDE], wanted("close", types=["all"]), cwd=tmp_path)
    last = {event.fd: event.file for event in run.events if event.file}
    assert len(run.lines) > 20
    for line in run.lines:
        file = last[line["fd"]]
        assert file.path.decode() + " (deleted)" * file.deleted == line["path"]
        kind = stat.S_IFREG if file.filesystem == b"pidfs" else line["kind"]
        assert (file.mode & 0o170000, file.inode, file.resolved) == (kind, line["inode"], True)


def test_what_a_program_does_with_its_namespaces_and_pidfds(tmp_path: Path) -> None:
    """They are regular files: no --type is needed."""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", OUTSIDE], wanted("close"), cwd=tmp_path)
    paths = [event.path.decode() for event in run.events]
    pidfs = [event for event in run.events if event.file and event.file.filesystem == b"pidfs"]
    assert [line["path"] for line in run.lines if "[40265" in line["path"]] == [path for path in paths if "[40265" in path]
    assert len(pidfs) == ("pidfs" in Path("/proc/kallsyms").read_text())


def test_shared_memory_of_system_v() -> None:
    """The kernel creates a file for it whose name is in no directory, as /proc/PID/maps shows."""
    code = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
key = libc.shmget(77, 4096, 0o1600)
address = libc.shmat(key, None, 0)
libc.shmctl(key, 0, None)
ctypes.memset(address, 1, 1)
line = next(line for line in open("/proc/self/maps") if line.startswith(f"{address:08x}-"))
print(json.dumps({"address": address, "path": line.split(None, 5)[5].strip()}))
"""
    run = trace(["/usr/bin/python3", "-I", "-S", "-c", code], wanted("fault"))
    (line,) = run.lines
    (event,) = [event for event in run.events if event.size == line["address"]]
    assert event.path.decode() == "/SYSV0000004d"
    assert line["path"] == "/SYSV0000004d (deleted)"
    assert event.file
    assert event.file.deleted
