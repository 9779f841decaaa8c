"""The words of the filters, their meaning, and the filter in user space.

Separate from tests/kernel, where the kernel applies them. UnresolvedNameFilter is compared with a filter over pathlib's
parents.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.capture.name_filter import NameFilter, UnresolvedNameFilter
from filetap.core import wire
from filetap.core.batch import Batch, File
from filetap.core.calls import CALL_NUMBER, CALLS, GROUPS, HOOKS, OPS
from filetap.core.errors import UsageError
from filetap.selection import filters
from filetap.selection.filters import Filters

PROCESS = {"fork", "thread", "exec", "exit"}
METADATA = {"stat", "statfs", "access", "readlink", "getdents", "getxattr", "listxattr", "handle"}
MEMORY = {"mmap", "munmap", "mremap", "mprotect", "madvise", "fault"}
NAMESPACE = {"rename", "link", "symlink", "unlink", "mkdir", "rmdir", "mknod", "mount", "umount"}
ATTRIBUTES = {"setattr", "truncate", "fallocate", "setxattr", "removexattr"}
TRANSFER = {"sendfile", "splice", "tee", "vmsplice", "copy_file_range", "reflink", "dedupe"}
POSITION = {"seek", "readahead", "advise"}
ALL_OPS = {"open", "close", "read", "write", "dup", "lock", "sync", "chdir"} | PROCESS | METADATA | MEMORY | NAMESPACE | ATTRIBUTES
ALL_OPS |= TRANSFER | POSITION


def chosen(*words: str) -> set[str]:
    return {CALLS[number].name for number in filters.select_calls(words)}


def ops(*words: str) -> set[str]:
    return {CALLS[number].op for number in filters.select_calls(words)}


WORDS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "op": (("fork",), {"fork", "vfork", "clone", "clone3"}),
    "group": (("position",), {"lseek", "readahead", "fadvise64", "io_uring:fadvise"}),
    "call-of-io-uring": (("io_uring:fadvise",), {"io_uring:fadvise"}),
    "call": (("pread64",), {"pread64"}),
    "call-that-is-no-op": (("openat2",), {"openat2"}),
    "name-of-op-and-call-means-op": (
        ("open",),
        {"open", "openat", "openat2", "creat", "open_by_handle_at", "memfd_create", "io_uring:openat", "io_uring:openat2"},
    ),
    "name-of-the-c-library": (("pread",), {"pread64"}),
    "close-is-op": (("close",), {"close", "close_range", "io_uring:close"}),
    "union": (("pread64", "dup"), {"pread64", "dup", "dup2", "dup3", "fcntl", "pidfd_getfd"}),
    "again": (("dup", "dup", "dup2"), {"dup", "dup2", "dup3", "fcntl", "pidfd_getfd"}),
    "exec": (("execve",), {"execve"}),
}


@pytest.mark.parametrize("case", WORDS)
def test_events(case: str) -> None:
    words, calls = WORDS[case]
    assert chosen(*words) == calls


def test_groups_of_events() -> None:
    assert ops("process") == PROCESS
    assert ops("descriptor") == {"open", "close", "dup", "lock"}
    assert ops("open") == {"open"}
    assert ops("io") == {"read", "write"} | TRANSFER
    assert ops("transfer") == TRANSFER
    assert ops("metadata") == METADATA
    assert ops("memory") == MEMORY
    assert ops("namespace") == NAMESPACE
    assert ops("attributes") == ATTRIBUTES
    assert ops("position") == POSITION
    assert ops("all") == ALL_OPS
    assert ops() == ALL_OPS - PROCESS - {"stat", "fault", "seek"}


def test_a_call_of_two_ops_means_both() -> None:
    """clone creates processes and threads, fcntl duplicates and locks, unlinkat removes both."""
    assert ops("clone") == {"fork", "thread"}
    assert ops("fcntl") == {"dup", "lock"}
    assert ops("unlinkat") == {"unlink", "rmdir"}
    assert ops("ioctl") == {"reflink", "dedupe"}


def test_every_op_group_and_call_is_a_word() -> None:
    for word in (*OPS[1:], *GROUPS, *(call.name for call in CALLS[1:])):
        assert any(seen(word, level) for level in wire.LEVELS)


def seen(word: str, level: str) -> frozenset[int]:
    try:
        return filters.select_calls((word,), level)
    except UsageError:
        return frozenset()


def test_operations_of_each_level() -> None:
    """An operation is reported by system calls or by hooks, not both; permission is reported by hooks only."""
    names = {level: {CALLS[number].name for number in seen("all", level)} for level in wire.LEVELS}
    assert "openat" in names["syscall"]
    assert "openat" not in names["vfs"]
    assert names["auto"] == names["syscall"]
    assert {CALLS[number].name for number in seen("permission", "auto")} == {"security_inode_permission"}
    assert {hook.name for hook in HOOKS} <= names["vfs"]
    assert {"execve", "page_fault_user"} <= names["vfs"]


@pytest.mark.parametrize(
    ("word", "level", "advice"),
    [
        ("close", "vfs", "remove --level"),
        ("permission", "syscall", "remove --level"),
        ("modify", "syscall", "give --level vfs"),
        ("modify", "auto", "give --level vfs"),
        ("security_file_open", "auto", "give --level vfs"),
    ],
)
def test_operations_that_a_level_does_not_have(word: str, level: str, advice: str) -> None:
    """With the advised option they are reported."""
    with pytest.raises(UsageError, match=f"^-e {word}: not seen at --level {level}; {advice}$"):
        filters.select_calls((word,), level)
    assert filters.select_calls((word,), "vfs" if "vfs" in advice else "auto")


def test_system_calls_in_the_place_of_hooks() -> None:
    chosen = filters.select_calls(("rename", "exec", "modify"), "vfs")
    names = {CALLS[number].name for number in filters.by_system_call(chosen)}
    assert names == {"rename", "renameat", "renameat2", "io_uring:renameat", "execve", "execveat"}


def test_operations_of_hooks_only() -> None:
    assert filters.reported_by_hooks_alone(filters.select_calls(("rename", "modify"), "vfs")) == {"modify"}
    assert filters.reported_by_hooks_alone(filters.select_calls(("rename", "permission"))) == {"permission"}
    assert filters.reported_by_hooks_alone(filters.select_calls(("fault", "exec"), "vfs")) == set()


UNKNOWN = {"": "", "none": "clone", "bogus": "", "READ": "read", "read ": "read", "reads": "read", "0": "", "openat3": "openat"}


@pytest.mark.parametrize("word", UNKNOWN)
def test_unknown_events(word: str) -> None:
    """Similar names are suggested, and how to list all."""
    with pytest.raises(UsageError) as error:
        filters.select_calls(("read", word))
    assert f"-e {word}: " in str(error.value)
    assert "-e list" in str(error.value)
    assert re.findall(r"did you mean (\S+)\?", str(error.value)) == ([UNKNOWN[word]] if UNKNOWN[word] else [])
    assert error.value.status == 2


def test_the_list_has_every_group_operation_and_call() -> None:
    words = {word.rstrip(":") for word in filters.operations_text().split()}
    assert {*GROUPS, *OPS[1:], *(call.name for call in CALLS if call.name)} <= words


def test_types() -> None:
    assert filters.select_types(()) == {"file"}
    assert filters.select_types(("pipe", "socket")) == {"file", "pipe", "socket"}
    assert filters.select_types(("all",)) == {"file", "directory", "pipe", "socket", "char", "block", "symlink", "anon"}
    with pytest.raises(UsageError, match=r"--type fifo: .*pipe.*all"):
        filters.select_types(("fifo",))


def test_type_mask_is_of_stat_formats() -> None:
    """From <sys/stat.h>: S_IFMT >> 12."""
    import stat

    formats = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "pipe": stat.S_IFIFO, "socket": stat.S_IFSOCK}
    formats |= {"char": stat.S_IFCHR, "block": stat.S_IFBLK, "symlink": stat.S_IFLNK, "anon": 0}
    for name, value in formats.items():
        assert Filters(types=frozenset({name})).type_mask() == 1 << (value >> 12)
    assert Filters(types=frozenset(formats)).type_mask() == sum(1 << (value >> 12) for value in formats.values())


def test_rules() -> None:
    both = Filters(paths=["a", "b"], exclude=["c"])
    assert both.rules() == [("a", wire.RULE_TREE), ("b", wire.RULE_TREE), ("c", wire.RULE_EXCLUDE)]
    assert Filters(paths=["a"], recursive=False).rules() == [("a", wire.RULE_CHILDREN)]


def test_paths_are_opened_and_known_by_identity(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("a")
    opened = filters.open_paths(Filters(paths=[str(tmp_path / "link")], exclude=[str(tmp_path)]).rules())
    try:
        assert {os.fstat(fd).st_ino: rule for fd, rule in opened.items()} == {
            (tmp_path / "a").stat().st_ino: wire.RULE_TREE,
            tmp_path.stat().st_ino: wire.RULE_EXCLUDE,
        }
        assert not any(os.get_inheritable(fd) for fd in opened)
    finally:
        for fd in opened:
            os.close(fd)


def test_a_path_that_is_missing_closes_the_others(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(UsageError, match=r"none: No such file or directory; .*must exist"):
        filters.open_paths(Filters(paths=[str(tmp_path), str(tmp_path / "none")]).rules())
    assert set(os.listdir("/proc/self/fd")) == before


NAMES = {
    "itself": ("/data", b"/data", True),
    "below": ("/data", b"/data/x/y", True),
    "no-prefix": ("/data", b"/database", False),
    "above": ("/data/x", b"/data", False),
    "elsewhere": ("/data", b"/etc/x", False),
    "slash-at-the-end": ("/data/", b"/data/x", True),
    "dots": ("/data/../data/./", b"/data/x", True),
    "root": ("/", b"/any/thing", True),
    "not-utf8": ("/da\udcffta", b"/da\xffta/x", True),
}


def named(path: bytes, **fields: Any) -> File:
    """Return a name as definitions.py makes it."""
    return File(1, path, resolved=False, **fields)


@pytest.mark.parametrize("case", NAMES)
def test_failed_names(case: str) -> None:
    path, name, wanted = NAMES[case]
    assert UnresolvedNameFilter(Filters(paths=[path])).wants(named(name)) is wanted
    assert UnresolvedNameFilter(Filters(exclude=[path])).wants(named(name)) is not wanted


def test_failed_names_without_paths() -> None:
    assert not UnresolvedNameFilter(Filters()).needed
    assert UnresolvedNameFilter(Filters()).wants(named(b"/anything"))
    assert UnresolvedNameFilter(Filters(exclude=["/x"])).needed


def test_exclusion_wins() -> None:
    names = UnresolvedNameFilter(Filters(paths=["/data"], exclude=["/data/tmp"]))
    assert [names.wants(named(name)) for name in (b"/data/a", b"/data/tmp", b"/data/tmp/a", b"/data/tmpx")] == [True, False, False, True]


def test_direct_children_only() -> None:
    names = UnresolvedNameFilter(Filters(paths=["/data"], recursive=False))
    assert [names.wants(named(name)) for name in (b"/data", b"/data/a", b"/data/a/b", b"/datab")] == [True, True, False, False]
    assert [UnresolvedNameFilter(Filters(paths=["/"], recursive=False)).wants(named(name)) for name in (b"/a", b"/a/b")] == [True, False]


@pytest.mark.parametrize("recursive", [True, False])
def test_many_paths_cost_no_more_than_few(recursive: bool) -> None:
    """A shell's * gives tens of thousands of paths: with 2000 times as many, ten times the duration is far from linear."""
    spent = []
    for count in (10, 20_000):
        names = UnresolvedNameFilter(Filters(paths=[f"/data/{number}" for number in range(count)], recursive=recursive))
        began = time.process_time()
        assert [names.wants(named(b"/data/%d/x" % number)) for number in (0, count)] == [True, False]
        assert not any(names.wants(named(b"/other/%d" % number)) for number in range(10_000))
        spent.append(time.process_time() - began)
    assert spent[1] < 10 * spent[0] + 0.1


def test_both_the_given_and_the_real_name_match(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    names = UnresolvedNameFilter(Filters(paths=[str(tmp_path / "link")]))
    assert names.wants(named(os.fsencode(tmp_path / "real" / "none")))
    assert names.wants(named(os.fsencode(tmp_path / "link" / "none")))
    assert not names.wants(named(os.fsencode(tmp_path / "other")))


def test_relative_paths_are_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert UnresolvedNameFilter(Filters(paths=["x"])).wants(named(os.fsencode(tmp_path / "x" / "y")))


PARTS = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=4)
PATHS = PARTS.map(lambda parts: "/".join(["/nowhere", *parts]))


@given(st.lists(PATHS, max_size=3), st.lists(PATHS, max_size=2), PATHS, st.booleans())
def test_failed_names_agree_with_pathlib(paths: list[str], exclude: list[str], requested: str, recursive: bool) -> None:
    name = PurePosixPath(requested)

    def below(directory: str) -> bool:
        return name.is_relative_to(directory)

    def direct(directory: str) -> bool:
        return PurePosixPath(directory) in (name, name.parent)

    expected = not any(map(below, exclude)) and (not paths or any(map(below if recursive else direct, paths)))
    assert UnresolvedNameFilter(Filters(paths=paths, exclude=exclude, recursive=recursive)).wants(named(requested.encode())) is expected


class Resolved(dict[int, File]):
    """Files that the kernel resolved. Decoding each only to find that out took a fifth of the reader's time under load."""

    def __missing__(self, number: int) -> File:
        raise AssertionError(f"file {number} was decoded")

    def get(self, number: int, default: object = None) -> File:
        return self[number]


TWO_NAMES = {1: File(1, b"/in/a", resolved=False), 2: File(2, b"/out/b", resolved=False)}


def kept(*rows: tuple[int, int | None]) -> list[int]:
    """Return the files of the events that pass, of which some have a target; with /in as the PATH."""
    events, ext = np.zeros(len(rows), wire.EVENT), np.zeros(sum(target is not None for _, target in rows), wire.EVENT_EXT)
    events["file"], events["flags"] = [file for file, _ in rows], [target is not None for _, target in rows]
    ext["target"] = [target for _, target in rows if target is not None]
    events["call"] = CALL_NUMBER["rename"]
    dropping = NameFilter(Filters(paths=["/in"]))
    batch = dropping.filtered(Batch(events, Resolved(), {}, 0, ext, TWO_NAMES))
    assert int(dropping.dropped.sum()) == len(rows) - len(batch.events)
    assert len(batch.ext) == int((batch.events["flags"] & wire.HAS_EXT != 0).sum())
    return [int(number) for number in batch.events["file"]]


def test_a_name_outside_the_paths_is_dropped() -> None:
    """Resolved files, and events without a name, have passed the filter in the kernel."""
    assert kept((1, None), (2, None), (3, None), (0, None), (2, None)) == [1, 3, 0]


def test_one_of_two_names_is_enough() -> None:
    assert kept((2, 1), (1, 2), (2, 2), (2, 0), (1, 1), (2, 3)) == [2, 1, 1, 2]


def test_a_missing_name_is_filtered_by_the_other() -> None:
    assert kept((0, 2), (0, 1), (0, 0), (0, 3)) == [0, 0, 0]
