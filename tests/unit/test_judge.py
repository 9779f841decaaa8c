"""The comparison of the conformance suite finds missing, additional, different and reordered events, and parses tracers' output.

Separate from tests/conformance, because this needs neither root nor a kernel.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.conformance.adapters import filetap, strace
from tests.conformance.compare import Event, Manner, Verdict, judge

HERE: Final = "/tmp/case"
OTHER: Final = Manner(frozenset({"resolved"}), names_files=False)


def line(call: str = "read", **members: Any) -> Event:
    """Return an expected event, or an event."""
    return {"op": "read", "call": call, "path": f"{HERE}/a"} | members


@pytest.mark.parametrize(
    ("lines", "events", "verdict"),
    [
        ([line(size=1)], [line(size=1, result=1)], "exact"),
        ([line(size=1)], [line(size=2)], "wrong"),
        ([line(size=1)], [line()], "seen"),
        ([line(size=1)], [line("readv", size=1)], "missed"),
        ([line(size=1)], [], "missed"),
        ([line(size=1)], [line(size=1), line(size=1)], "wrong"),
        ([line(size=1), line(size=2)], [line(size=2), line(size=1)], "wrong"),
        ([line(size=1), line(size=2)], [line(size=2)], "missed"),
        ([line(size=1)], [line(size=1), line(path="/elsewhere")], "exact"),
        ([line(size=1)], [line(size=1), {"op": "read", "call": "read", "result": -9}], "wrong"),
        ([line(size=1)], [line(size=1), {"op": "write", "call": "write", "path": f"{HERE}/a"}], "exact"),
        ([line(path="pipe:[1]", inode="1", device="0:9")], [line(path="pipe:[1]", inode="1", device="0:9")], "exact"),
        ([{"op": "read", "call": "read", "fd": 9}], [{"op": "read", "call": "read", "fd": 9}], "exact"),
        ([{"op": "read", "none": True}], [], "exact"),
        ([{"op": "read", "none": True}], [line()], "wrong"),
        ([line(result=None)], [line(result=3)], "wrong"),
        ([line(target={"path": f"{HERE}/b"})], [line(target={"path": f"{HERE}/c"})], "wrong"),
        ([line(target={"path": f"{HERE}/b"})], [line()], "seen"),
    ],
)
def test_verdicts(lines: list[Event], events: list[Event], verdict: Verdict) -> None:
    assert judge(lines, events, HERE, Manner()).verdict == verdict


def test_events_without_a_file_are_ignored_for_tracers_without_files() -> None:
    events: list[Event] = [{"op": "read", "call": "read", "size": 5}, {"op": "read", "call": "read", "size": 1}]
    assert judge([line(size=1)], events, HERE, OTHER).verdict == "seen"
    assert judge([line(size=1, resolved=False)], [line(size=1)], HERE, OTHER).verdict == "exact"


def test_a_difference_names_the_members() -> None:
    text = str(judge([line(size=1, fd=3)], [line(size=2, fd=3)], HERE, Manner()))
    assert "wrong (size)" in text
    assert "size=2" in text


@pytest.mark.parametrize(
    ("printed", "reported"),
    [
        ('read(3</a>, "x, (y"..., 10) = 4', {"op": "read", "fd": 3, "path": "/a", "size": 10, "result": 4}),
        ('preadv(3</a>(deleted), [{iov_base="", iov_len=5}, {iov_base="", iov_len=7}], 2, 9) = 0', {"size": 12, "deleted": True}),
        ('openat(AT_FDCWD</tmp>, "a\\"b", O_RDONLY|O_CREAT, 0644) = 3</tmp/a\\"b>', {"path": '/tmp/a"b', "fd": 3, "mode": "0644"}),
        ('openat(AT_FDCWD</tmp>, "../a", O_RDONLY) = -1 ENOENT (No such file)', {"path": "/a", "result": -2, "flags": ["O_RDONLY"]}),
        ('unlinkat(4</d>, "b", AT_REMOVEDIR) = 0', {"op": "rmdir", "path": "/d/b"}),
        ("fcntl(3</a>, F_DUPFD, 10) = 10</a>", {"op": "dup", "result": 10}),
        ("ioctl(4</b>, BTRFS_IOC_CLONE or FICLONE, 3</a>) = 0", {"op": "reflink", "path": "/a", "target_fd": 4}),
        ("tee(3<pipe:[17]>, 6<pipe:[18]>, 100, 0) = 10", {"inode": "17", "target_fd": 6, "size": 100}),
        ("mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</a>, 0x2000) = 0x7f00", {"offset": 8192, "address": "0x7f00"}),
    ],
)
def test_strace_is_read(printed: str, reported: dict[str, Any]) -> None:
    (event,) = strace.parse(f"7   12.000001 {printed}\n")
    assert event | reported == event
    assert event["time"] == 12_000_001_000


def test_a_call_interrupted_in_strace_output_is_joined() -> None:
    text = '7 1.000001 read(3</a>,  <unfinished ...>\n8 1.000002 close(4</b>) = 0\n7 1.000003 <... read resumed>"x", 10) = 1\n'
    assert [(event["op"], event["time"], event["result"]) for event in strace.parse(text)] == [
        ("close", 1000002000, 0),
        ("read", 1000001000, 1),
    ]


def test_commands_without_an_operation_are_omitted() -> None:
    text = "7 1.000001 fcntl(3</a>, F_GETFD) = 0\n7 1.000002 mmap(NULL, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0) = 0x1000\n"
    assert list(strace.parse(text)) == []


def test_nanoseconds_are_exact() -> None:
    assert filetap.nanoseconds("2026-11-20T23:00:00.123456789Z") == 1795215600_123456789
