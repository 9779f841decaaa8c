"""Definitions as the kernel sends them, written by hand, and the files and tasks made of them.

Separate from test_reader.py, which reads them from rings. A name may have any bytes except NUL and the slash: paths
round trip whatever they are.
"""

from __future__ import annotations

import os
import stat
import struct
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.capture import decode
from filetap.capture.decode import decode_file
from filetap.capture.definitions import Definitions
from filetap.capture.files import Files
from filetap.core import wire
from filetap.core.batch import Credentials, File, Task
from filetap.core.columns import GROUPS, USERS
from tests.unit.definition_records import COMPONENT, PATH, file_record, name_record, record, task_record, upwards

ANON = 0x09041934
"""ANON_INODE_FS_MAGIC, linux/magic.h."""


@given(PATH)
def test_any_path_round_trips(names: list[bytes]) -> None:
    assert decode_file(file_record(7, names)).path == b"/" + b"/".join(names)


def test_the_roots_slash_is_no_component() -> None:
    assert decode_file(file_record(7, [b"/", b"etc", b"hostname"])).path == b"/etc/hostname"
    assert decode_file(file_record(7, [b"/"])).path == b"/"
    assert decode_file(file_record(7, [])).path == b"/"


@given(st.data())
def test_every_field_is_read_from_its_place(data: st.DataObject) -> None:
    eight, four = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
    given = {name: data.draw(eight) for name in ("inode", "subvolume", "size", "parent", "key_dentry", "key_origin")}
    given |= {name: data.draw(four) for name in ("sequence", "device", "generation", "rdev", "mount", "mount_namespace")}
    file = decode_file(file_record(9, [b"a"], magic=0xEF53, filesystem=b"ext4", **given))
    assert file == File(
        9,
        b"/a",
        inode=given["inode"],
        device=given["device"],
        subvolume=given["subvolume"],
        generation=given["generation"],
        mode=stat.S_IFREG | 0o644,
        size=given["size"],
        filesystem=b"ext4",
        mount=given["mount"],
        mount_namespace=given["mount_namespace"],
    )


def test_the_inode_beneath_an_overlay() -> None:
    file = decode_file(file_record(9, [b"a"], real_inode=77, real_device=8 << 20 | 1))
    assert (file.real_inode, file.real_device) == (77, 8 << 20 | 1)


@given(PATH, PATH)
def test_the_path_inside_the_file_system_follows_the_other_one(names: list[bytes], inside: list[bytes]) -> None:
    fields = {"mode": stat.S_IFREG, "fs_path": len(upwards(inside))}
    for wanted in (True, False):
        files = Files(10, wanted)
        files.define(1, record(wire.FILE_DEFINITION, wire.DEFINE_FILE, 1, upwards(names) + upwards(inside), **fields))
        assert files[1].path == b"/" + b"/".join(names)
        assert files[1].inner_path == (b"/" + b"/".join(inside) if wanted else b"")


FLAGS = {"truncated": wire.TRUNCATED, "deleted": wire.DELETED, "raced": wire.RACED}


@given(st.sets(st.sampled_from(sorted(FLAGS))))
def test_flags(names: set[str]) -> None:
    file = decode_file(file_record(1, [b"a"], flags=sum(FLAGS[name] for name in names)))
    assert {name for name in FLAGS if getattr(file, name)} == names
    assert file.path == b"/a"


NO_TREE: Final = {
    "pipe": (b"", 0x50495045, b"pipe:[7]", False),
    "socket": (b"UNIX", 0x534F434B, b"socket:[7]", False),
    "eventfd": (b"[eventfd]", ANON, b"anon_inode:[eventfd]", False),
    "pidfd": (b"/", 0x50494446, b"anon_inode:[pidfd]", False),
    "namespace": (b"uts", 0x6E736673, b"uts:[7]", False),
    "buffer": (b"frame", 0x444D4142, b"/dmabuf:frame", False),
    "memfd": (b"memfd:note", 0x01021994, b"/memfd:note", True),
}


@pytest.mark.parametrize("kind", NO_TREE)
def test_files_in_no_tree(kind: str) -> None:
    """As fs/d_path.c and the file systems write it; tests/kernel/test_names.py compares with the kernel."""
    name, magic, path, deleted = NO_TREE[kind]
    file = decode_file(file_record(1, [name], flags=wire.NO_TREE | wire.DETACHED, inode=7, magic=magic))
    assert (file.path, file.deleted, file.resolved) == (path, deleted, True)


def test_a_file_in_no_directory_that_is_known() -> None:
    """Opened by its handle: its dentry is called "/", and that is the root's path."""
    file = decode_file(file_record(1, [b"/"], flags=wire.NO_PATH, inode=7))
    assert (file.path, file.inode, file.resolved) == (b"", 7, False)


def test_a_named_pipe_has_its_name() -> None:
    assert decode_file(file_record(1, [b"tmp", b"fifo"], mode=stat.S_IFIFO, inode=5)).path == b"/tmp/fifo"


REQUESTED = {
    "relative": (b"a/b", 2, b"/home/x/a/b"),
    "absolute": (b"/etc/none", 1, b"/etc/none"),
    "chroot": (b"/etc/none", 3, b"/jail/etc/none"),
    "dots": (b"../y/./z", 2, b"/home/y/z"),
    "slashes": (b"a//b/", 2, b"/home/x/a/b"),
    "double-slash": (b"//etc", 1, b"/etc"),
    "above-the-root": (b"../../../..", 2, b"/"),
    "empty": (b"", 2, b"/home/x"),
    "not-utf8": (b"\xff\n", 2, b"/home/x/\xff\n"),
    "root": (b"/", 1, b"/"),
}


@pytest.mark.parametrize("case", REQUESTED)
@pytest.mark.parametrize("flags", [0, wire.ONCE])
def test_a_requested_name(known: Definitions, case: str, flags: int) -> None:
    requested, directory, path = REQUESTED[case]
    known.apply(name_record(50, requested, directory, flags=flags, root=1))
    assert known.files[50] == File(50, path, resolved=False)


def test_names_are_forgotten_by_the_kernels_key() -> None:
    """Directory, the directory that ".." does not leave (if any), and the bytes."""
    made = Definitions(10, 2)
    made.apply(file_record(1, [b"jail"]))
    for number, key in enumerate((0, 9, 1 << 31 | 9, 0), 50):
        made.apply(name_record(number, b"a%d" % number, 1, root=9, key=key))
    assert made.evict()[1].tolist() == [(1, 0, b"a50"), (1, 9, b"a51"), (1, 1 << 31 | 9, b"a52")]


LINK_TEXTS = {
    "beside": (b"a", b"/home/x/a"),
    "above": (b"../y", b"/home/y"),
    "absolute": (b"/etc", b"/etc"),
    "deeper": (b"a/b", b"/home/x/a/b"),
}


@pytest.mark.parametrize("case", LINK_TEXTS)
def test_a_symbolic_links_text_starts_at_its_directory(known: Definitions, case: str) -> None:
    text, path = LINK_TEXTS[case]
    known.apply(name_record(50, b"link", 2))
    known.apply(name_record(51, text, 50, flags=wire.ONCE | wire.RELATIVE_TO_LINK))
    assert known.files[51] == File(51, path, resolved=False, requested=text if b".." in text else b"")


def test_a_name_that_was_cut(known: Definitions) -> None:
    known.apply(name_record(50, b"a", 2, flags=wire.TRUNCATED))
    assert known.files[50].truncated


@given(PATH, st.lists(COMPONENT | st.sampled_from([b".", b".."]), min_size=1, max_size=5))
def test_any_name_round_trips(directory: list[bytes], requested: list[bytes]) -> None:
    made = Definitions(100, 100)
    made.apply(file_record(1, directory))
    made.apply(name_record(2, b"/".join(requested), 1))
    assert made.files[2].path == os.path.normpath(b"/" + b"/".join(directory + requested)).replace(b"//", b"/")


def test_a_task(known: Definitions) -> None:
    known.apply(file_record(4, [b"usr", b"bin", b"cat"]))
    known.apply(record(wire.CGROUP_DEFINITION, wire.DEFINE_CGROUP, 0, upwards([b"", b"system.slice", b"a"]), cgroup=66))
    numbers = {
        "pid": 10, "tid": 11, "ppid": 12, "namespace_pid": 13, "parent": 14, "forker": 16, "execs": 15,
        "pid_namespace": 21, "mount_namespace": 22, "user_namespace": 23, "cgroup_namespace": 24, "start": 25, "cgroup": 66,
    }  # fmt: skip
    known.apply(task_record(5, b"cat\0two words\0\0", exe=4, root=3, comm=b"cat", thread=b"worker\0junk", **numbers))
    task = known.tasks[5]
    assert {name: getattr(task, name) for name in numbers} == numbers
    assert (task.comm, task.thread, task.exe) == (b"cat", b"worker", b"/usr/bin/cat")
    assert (task.root, task.cgroup_path) == (b"/jail", b"/system.slice/a")
    assert (task.args, task.args_truncated) == ((b"cat", b"two words", b""), False)


def test_users_of_a_task() -> None:
    made = Definitions(1, 1)
    ids: dict[str, Any] = {name: number for number, name in enumerate((*USERS.values(), *GROUPS.values()), 10)}
    made.apply(task_record(5, struct.pack("<3I", 7, 8, 9) + b"cat\0", groups=3, **ids))
    assert made.tasks[5].credentials == Credentials(**ids, groups=(7, 8, 9))
    assert made.tasks[5].args == (b"cat",)


def test_truncated_groups_and_no_login() -> None:
    made = Definitions(1, 1)
    kept = tuple(range(wire.MAX_GROUPS))
    made.apply(task_record(5, struct.pack(f"<{len(kept)}I", *kept), groups=len(kept) + 1, loginuid=0xFFFFFFFF))
    assert made.tasks[5].credentials == Credentials(groups=kept, groups_truncated=True)
    assert made.tasks[5].args is None


def test_whether_a_task_has_the_root_of_the_host() -> None:
    """In another root, such as a container's, the ids may belong to other users."""
    made = Definitions(9, 9, is_own_root=lambda root: root.inode == 2)
    for root, inode in ((1, 2), (2, 99)):
        made.apply(file_record(root, [], inode=inode))
    for number, root in ((5, 1), (6, 2), (7, 3)):
        made.apply(task_record(number, struct.pack("<I", 4), root=root, groups=1, euid=7, uid=8, loginuid=0xFFFFFFFF))
    assert [made.tasks[number].has_host_root for number in (5, 6, 7)] == [True, False, False]
    assert made.tasks[5].credentials == Credentials(euid=7, uid=8, groups=(4,))


def test_a_task_with_few_fields(known: Definitions) -> None:
    known.apply(task_record(5, exe=99, root=0, cgroup=99))
    assert known.tasks[5] == Task(5, 0, 0, b"", b"", credentials=Credentials(loginuid=0), cgroup=99)


def test_a_comm_of_sixteen_bytes_is_not_cut() -> None:
    made = Definitions(1, 1)
    made.apply(task_record(5, comm=b"x" * 16, thread=b"\xff" * 15))
    assert (made.tasks[5].comm, made.tasks[5].thread) == (b"x" * 16, b"\xff" * 15)


@given(st.lists(st.binary(max_size=12).map(lambda word: word.replace(b"\0", b"")), min_size=1, max_size=6))
def test_any_arguments_round_trip(words: list[bytes]) -> None:
    made = Definitions(1, 1)
    made.apply(task_record(5, b"".join(word + b"\0" for word in words)))
    assert made.tasks[5].args == tuple(words)


def test_cut_arguments() -> None:
    made = Definitions(1, 1)
    made.apply(task_record(5, b"cat\0lon", flags=wire.TRUNCATED))
    assert (made.tasks[5].args, made.tasks[5].args_truncated) == ((b"cat", b"lon"), True)


@given(st.lists(st.integers(0, 30), max_size=60))
def test_files_are_a_mapping(numbers: list[int]) -> None:
    files = Files(1000)
    for number in numbers:
        files.define(number, file_record(number, [b"%d" % number]))
    assert dict(files) == {number: decode_file(file_record(number, [b"%d" % number])) for number in numbers}
    assert len(files) == len(set(numbers))
    assert all(files.path(number) == b"/%d" % number for number in numbers)


def test_decoded_files_are_bounded() -> None:
    files = Files(10**6)
    for number in range(2 * Files.DECODED):
        files.define(number, file_record(number, [b"a"]))
        files[number]
    assert len(files._decoded) <= Files.DECODED


def test_text_ends_at_the_first_nul() -> None:
    assert [decode.text(field) for field in (b"", b"a\0b", b"\0", b"abc")] == [b"", b"a", b"", b"abc"]
