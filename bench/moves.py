"""Preads of files whose names change, and each file's name at the time, as JSON: [[case, path], ...].

Separate, because it is the target of a trace, in another mount namespace.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

reported: list[tuple[str, str]] = []


def read(case: str, fd: int) -> None:
    name = os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
    os.pread(fd, 16, 0)
    reported.append((case, name))


def made(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT)


def file_renamed(top: Path) -> None:
    fd = made(top / "old")
    read("before a file's rename", fd)
    (top / "old").rename(top / "new")
    read("after a file's rename", fd)


def directory_renamed(top: Path) -> None:
    fds = [made(top / "a/b" / name) for name in ("x", "y")]
    for fd in fds:
        read("before a directory's rename", fd)
    (top / "a").rename(top / "c")
    for fd in fds:
        read("after a directory's rename", fd)


def directory_moved(top: Path) -> None:
    fd = made(top / "a/b/c/d")
    (top / "e").mkdir()
    read("before a directory is moved", fd)
    (top / "a/b").rename(top / "e/b")
    read("after a directory is moved", fd)


def linked(top: Path) -> None:
    read("first name of a file", made(top / "first"))
    (top / "second").hardlink_to(top / "first")
    read("second name of a file", made(top / "second"))


def used_again(top: Path) -> None:
    fd = made(top / "gone")
    number = os.fstat(fd).st_ino
    read("a file to be unlinked", fd)
    os.close(fd)
    (top / "gone").unlink()
    fd = made(top / "next")
    assert os.fstat(fd).st_ino == number, "the file system did not use the inode number again"
    read("its inode number used again", fd)


def bound(top: Path) -> None:
    read("through its own mount", made(top / "from/file"))
    (top / "to").mkdir()
    subprocess.run(["mount", "--bind", top / "from", top / "to"], check=True)
    read("through a bind mount", made(top / "to/file"))


def main() -> None:
    os.read(int(os.environ["FILETAP_GO"]), 1)
    for case in (file_renamed, directory_renamed, directory_moved, linked, used_again, bound):
        top = Path(sys.argv[1]) / case.__name__
        top.mkdir()
        case(top)
    print(json.dumps(reported))


if __name__ == "__main__":
    main()
