"""Each option of ``filetap trace`` that selects events does what its help says, one small trace each.

Separate from test_options_targets.py, which selects processes, and test_output_files.py, where the output goes. The
oracle is the traced program, which is part of the test.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import smallest_ring

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Result
from tests.e2e.commands import JSON, READING, cat, lines

Script = Callable[[str], tuple[str, ...]]


def test_path_is_that_file_alone(ft: Filetap, tree: Path) -> None:
    done = ft.trace(*JSON, *READING, tree / "a", *cat(tree / "a", tree / "sub" / "b"))
    a = str(tree / "a")
    assert done.called() == [("open", a), ("read", a), ("read", a), ("close", a)]


def device_of(path: Path) -> str:
    """Return the super block's device; stat(2) returns another one on btrfs and overlayfs (proc(5), mountinfo)."""
    with path.open() as stream:
        fields = dict(line.split(maxsplit=1) for line in Path(f"/proc/self/fdinfo/{stream.fileno()}").read_text().splitlines())
    mounts = map(str.split, Path("/proc/self/mountinfo").read_text().splitlines())
    return next(mount[2] for mount in mounts if mount[0] == fields["mnt_id:"].strip())


def test_event_fields_agree_with_stat(ft: Filetap, tree: Path) -> None:
    status = (tree / "a").stat()
    done = ft.trace(*JSON, "-e", "read", tree / "a", *cat(tree / "a"))
    first, second = done.events
    assert first["file"]["inode"] == str(status.st_ino)
    assert first["file"]["device"] == device_of(tree / "a")
    assert first["process"]["executable"]["path"] == os.path.realpath(str(shutil.which("cat")))
    assert (first["io"]["offset"], first["io"]["result"]) == (0, status.st_size)
    assert (second["io"]["offset"], second["io"]["result"]) == (status.st_size, 0)
    assert first["io"]["size"] >= status.st_size


def test_path_is_all_below_a_directory(ft: Filetap, tree: Path) -> None:
    files = [tree / "a", tree / "sub" / "b", tree / "sub" / "deep" / "c"]
    assert ft.trace(*JSON, tree / "sub", *cat(*files)).paths == set(map(str, files[1:]))


def test_several_paths(ft: Filetap, tree: Path) -> None:
    files = [tree / "a", tree / "sub" / "b", tree / "sub" / "deep" / "c"]
    assert ft.trace(*JSON, tree / "a", tree / "sub" / "deep", *cat(*files)).paths == {str(files[0]), str(files[2])}


def test_path_is_an_identity_not_a_prefix(ft: Filetap, tree: Path) -> None:
    (tree / "submarine").write_bytes(b"x")
    (tree / "link").symlink_to("sub")
    done = ft.trace(*JSON, tree / "link", *cat(tree / "submarine", tree / "sub" / "b"))
    assert done.paths == {str(tree / "sub" / "b")}


def test_relative_path(ft: Filetap, tree: Path) -> None:
    assert ft.trace(*JSON, "sub", "--", "cat", "a", "sub/b", cwd=tree).paths == {str(tree / "sub" / "b")}


def test_no_recursive_is_direct_children(ft: Filetap, tree: Path) -> None:
    files = [tree / "a", tree / "sub" / "b", tree / "sub" / "deep" / "c"]
    assert ft.trace(*JSON, "--no-recursive", tree / "sub", *cat(*files)).paths == {str(files[1])}


def test_exclude_file_and_directory(ft: Filetap, tree: Path) -> None:
    files = [tree / "a", tree / "sub" / "b", tree / "sub" / "deep" / "c"]
    done = ft.trace(*JSON, tree, "--exclude", tree / "a", "--exclude", tree / "sub" / "deep", *cat(*files))
    assert done.paths == {str(files[1])}


@pytest.mark.parametrize("follow", [True, False], ids=["follow", "stay"])
def test_follow_a_file_that_is_moved(ft: Filetap, tree: Path, follow: bool) -> None:
    script = 'mv "$0/sub/b" "$0/b"; cat "$0/b" "$0/a"'
    done = ft.trace(*JSON, "-e", "open", *["--follow"] * follow, tree / "sub", "--", "sh", "-c", script, tree)
    assert done.paths == ({str(tree / "b")} if follow else set())


def test_host_paths(ft: Filetap, tree: Path) -> None:
    script = 'mount --bind "$0/sub" "$0/sub/deep"; cat "$0/sub/deep/b"'
    words = (*JSON, "-e", "open", tree, "--", "unshare", "--mount", "--propagation", "private", "sh", "-c", script, tree)
    (event,) = ft.trace("--host-paths", *words).events
    assert (event["file"]["path"], event["file"]["host_path"]) == (str(tree / "sub/deep/b"), str(tree / "sub/b"))
    (event,) = ft.trace(*words).events
    assert "host_path" not in event["file"]


def test_failed_names_are_filtered_by_the_requested_name(ft: Filetap, tree: Path) -> None:
    done = ft.trace(*JSON, tree / "sub", *cat(tree / "none", tree / "sub" / "none", tree / "sub" / ".." / "none2"))
    assert done.paths == {str(tree / "sub" / "none")}
    assert done.status == 1


EVENTS: list[tuple[list[str], list[str]]] = [
    (["-e", "open"], ["openat"]),
    (["-e", "io"], ["read", "read"]),
    (["-e", "read"], ["read", "read"]),
    (["-e", "pread64"], []),
    (["-e", "close", "-e", "openat"], ["openat", "close"]),
    (["-e", "descriptor"], ["openat", "close"]),
    ([], ["openat", "fadvise64", "read", "read", "close"]),
]


@pytest.mark.parametrize(("words", "calls"), EVENTS, ids=lambda value: "-".join(value).replace("-e-", "") or "none")
def test_event_chooses_calls(ft: Filetap, tree: Path, words: list[str], calls: list[str]) -> None:
    done = ft.trace(*JSON, *words, tree, *cat(tree / "a"))
    assert [e["event"]["call"] for e in done.events] == calls


EVERY = """
os.chdir(sys.argv[1])
fd = os.open("a", os.O_RDWR); os.lseek(fd, 1, 0); os.stat("a"); os.access("a", 4); os.truncate("a", 3)
os.rename("a", "a2"); os.mkdir("d"); os.rmdir("d"); os.symlink("x", "s"); os.readlink("s"); os.unlink("s"); os.chmod("a2", 0o600)
if not os.fork(): os._exit(0)
os.wait(); os.listdir("."); os.fsync(fd); os.close(fd)
"""
FREQUENT = {"stat", "fault", "seek", "fork", "exec", "exit"}
PLAIN = {"open", "close", "access", "truncate", "rename", "mkdir", "rmdir", "symlink", "readlink", "unlink", "setattr", "getdents", "sync"}


def test_event_all_has_everything(ft: Filetap, tree: Path, script: Script) -> None:
    done = ft.trace(*JSON, "-e", "all", "--type", "all", "--", *script(EVERY), tree)
    assert {action for action, _ in done.called()} >= FREQUENT | PLAIN | {"chdir", "read", "mmap", "munmap", "mprotect"}


def test_without_event_nothing_frequent_and_no_processes(ft: Filetap, tree: Path, script: Script) -> None:
    actions = {action for action, _ in ft.trace(*JSON, "--", *script(EVERY), tree).called()}
    assert actions >= PLAIN | {"chdir", "read", "mmap", "munmap", "mprotect"}
    assert actions.isdisjoint(FREQUENT | {"thread"})


def test_exact_sizes_offsets_and_results(ft: Filetap, tree: Path, script: Script) -> None:
    file = str(tree / "a")
    program = script(
        f"fd = os.open({file!r}, os.O_RDWR)\n"
        "os.read(fd, 5); os.pread(fd, 4, 8); os.readv(fd, [bytearray(2), bytearray(100)])\n"
        "os.pwrite(fd, b'xyz', 20); os.write(fd, b'12'); os.writev(fd, [b'a', b'bc'])\n"
        "other = os.dup(fd); os.close(other); os.close(fd)\n"
    )
    done = ft.trace(*JSON, file, "--", *program)
    seen = [(e["event"]["call"], e["io"].get("offset"), e["io"].get("size"), e["io"]["result"]) for e in done.events]
    fd = seen[0][3]
    assert seen[1:-3] == [
        ("read", 0, 5, 5),
        ("pread64", 8, 4, 4),
        ("readv", 5, 102, 7),
        ("pwrite64", 20, 3, 3),
        ("write", 12, 2, 2),
        ("writev", 14, 3, 3),
    ]
    assert [(call, result) for call, _, _, result in seen[-3:]] == [("fcntl", fd + 1), ("close", 0), ("close", 0)]
    assert done.events[0]["io"]["flags"] == ["O_RDWR", "O_CLOEXEC"]


TYPES = {
    "pipe": "r, w = os.pipe(); os.write(w, b'x'); os.read(r, 1)",
    "socket": "import socket; a, b = socket.socketpair(); os.write(a.fileno(), b'x'); os.read(b.fileno(), 1)",
    "char": "f = os.open('/dev/zero', os.O_RDONLY); os.read(f, 9)",
    "directory": "f = os.open('/', os.O_RDONLY); os.close(f)",
    "symlink": "f = os.open('/proc/self', os.O_PATH | os.O_NOFOLLOW); os.close(f)",
    "anon": "f = os.eventfd(1); os.read(f, 8)",
}


def types(done: Result) -> set[str]:
    """Return the types of files; anonymous inodes have none and are recognised by their path."""
    files = [e["file"] for e in done.events if e.get("file", {}).get("resolved", True)]
    return {file.get("type") or ("anon" if file["path"].startswith("anon_inode:") else "none") for file in files}


@pytest.mark.parametrize("kind", TYPES)
def test_type_adds_to_regular_files(ft: Filetap, script: Script, kind: str) -> None:
    program = script(TYPES[kind])
    done = ft.trace(*JSON, *READING, "--type", kind, "--", *program)
    assert types(done) == {"file", kind}


def test_type_all(ft: Filetap, script: Script) -> None:
    done = ft.trace(*JSON, "--type", "all", "--", *script("\n".join(TYPES.values())))
    assert types(done) >= {"file", *TYPES}


def test_without_type_regular_files_only(ft: Filetap, script: Script) -> None:
    done = ft.trace(*JSON, *READING, "--", *script("\n".join(TYPES.values())))
    assert types(done) == {"file"}


def test_failed_only(ft: Filetap, tree: Path) -> None:
    done = ft.trace(*JSON, "--failed", tree, *cat(tree / "a", tree / "none"))
    (event,) = done.events
    assert event["file"] == {"path": str(tree / "none"), "resolved": False}
    assert (event["io"]["result"], event["error"]["code"]) == (-2, "ENOENT")


def test_min_latency(ft: Filetap, tmp_path: Path, script: Script) -> None:
    os.mkfifo(tmp_path / "slow")
    program = script(
        f"f = os.open({str(tmp_path / 'slow')!r}, os.O_RDWR)\n"
        "os.write(f, b'x'); os.read(f, 1)\n"
        "if not os.fork():\n"
        " while not open(f'/proc/{os.getppid()}/syscall').read().startswith('0 '): pass\n"  # read(2) of x86-64
        " time.sleep(0.8); os.write(f, b'y'); os._exit(0)\n"
        "os.read(f, 1)"
    )
    done = ft.trace(*JSON, "--type", "pipe", "--min-latency", "500ms", tmp_path / "slow", "--", *program)
    (event,) = done.events
    assert event["event"]["action"] == "read"
    assert 0.8e9 <= event["event"]["duration"] < 10e9


def test_latency_is_measured_unless_turned_off(ft: Filetap, tree: Path) -> None:
    assert all(e["event"]["duration"] > 0 for e in ft.trace(*JSON, tree, *cat(tree / "a")).events)
    assert not any("duration" in e["event"] for e in ft.trace(*JSON, "--no-latency", tree, *cat(tree / "a")).events)


def test_arguments_only_with_args(ft: Filetap) -> None:
    command = ("--", "sh", "-c", "exec /bin/echo 'two words' ''")
    arguments = [e["process"].get("args") for e in ft.trace(*JSON, "-e", "exec", "--args", *command).events]
    assert arguments == [["sh", "-c", command[-1]], ["/bin/echo", "two words", ""]]
    assert not any("args" in e["process"] for e in ft.trace(*JSON, "-e", "exec", *command).events)


def test_a_small_ring_aggregates_and_the_statistics_balance(ft: Filetap, tmp_path: Path) -> None:
    count = 200_000
    stats, output = tmp_path / "account.json", tmp_path / "events.json"
    words = ("--ring-size", f"{smallest_ring(16)}K", "--stats", stats, "-o", output, *JSON, "-e", "read", "/dev/zero", "--type", "char")
    ft.trace(*words, "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=7", f"count={count}")
    read = json.loads(stats.read_text())["ops"]["read"]
    assert read["seen"] == count == read["delivered"] + read["aggregated"] + read["lost"]
    assert (read["lost"], read["bytes"]) == (0, 7 * count)
    events = lines(output.read_bytes())
    aggregated = [e for e in events if e["event"].get("kind") == "aggregated"]
    assert sum(e["event"]["count"] for e in aggregated) == read["aggregated"] > 0
    assert len(events) - len(aggregated) == read["delivered"]


@pytest.mark.parametrize("form", ["1M", "{bytes}", "{kib}k", "{kib}KiB"])
def test_ring_size_forms(ft: Filetap, tree: Path, form: str) -> None:
    kib = smallest_ring(64)
    size = form.format(kib=kib, bytes=kib << 10)
    assert len(ft.trace(*JSON, *READING, "--ring-size", size, tree, *cat(tree / "a")).events) == 4


def test_statistics_as_json(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    stats, started = tmp_path / "account.json", datetime.now(UTC)
    done = ft.trace("-f", "none", "--stats", stats, tree, *cat(tree / "a", tree / "none"))
    reported = json.loads(stats.read_text())
    names = ("seen", "delivered", "aggregated", "lost", "bytes")
    assert {op: [row[name] for name in names] for op, row in reported["ops"].items()} == {
        "open": [2, 2, 0, 0, 0],
        "read": [2, 2, 0, 0, 12],
        "close": [1, 1, 0, 0, 0],
        "advise": [1, 1, 0, 0, 0],
    }
    assert reported["ops"]["open"]["errors"] == 1
    assert (reported["processes"], reported["notes"]) == (1, [])
    began, ended = (datetime.fromisoformat(reported[name]) for name in ("began", "ended"))
    assert started <= began <= ended <= datetime.now(UTC)
    assert 0 < reported["elapsed"] < (datetime.now(UTC) - started).total_seconds()
    assert (ended - began).total_seconds() == pytest.approx(reported["elapsed"], abs=1), "two clocks, read one after the other"
    assert 0 < reported["cpu"] < 10
    assert b"6 events" in done.err
    assert b"nothing lost" in done.err
