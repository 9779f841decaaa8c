"""Requested names: where ".." leads and what it cannot leave, where a name starts, what a mount's source is.

Separate from tests/kernel/test_names.py, where the kernel itself resolves them. The oracle of plain joins is
os.path.normpath.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.capture import mounts
from filetap.capture.requested import Home, Joined, Request, join, leaves
from filetap.core import wire
from filetap.core.batch import File

COMPONENTS = st.lists(st.sampled_from([b"a", b"b", b".", b"..", b""]), max_size=8)

JOINED: Final = {
    "below": (b"/home/x", b"/", b"a/b", Joined(b"/home/x/a/b", 2)),
    "start": (b"/home/x", b"/", b".", Joined(b"/home/x", 0)),
    "above": (b"/home/x", b"/", b"../y", Joined(b"/home/y", -1)),
    "and-back": (b"/home/x", b"/", b"../x/y", Joined(b"/home/x/y", -1)),
    "root": (b"/home/x", b"/", b"../../../../y", Joined(b"/y", -1)),
    "jail": (b"/jail/in", b"/jail", b"../../../y", Joined(b"/jail/y", -1)),
    "jail-itself": (b"/jail", b"/jail", b"../../y", Joined(b"/jail/y", 1)),
    "outside-the-jail": (b"/home/x", b"/jail", b"../../../y", Joined(b"/y", -1)),
    "next-to-the-jail": (b"/jailer/x", b"/jail", b"../../y", Joined(b"/y", -1)),
    "taken-back": (b"/home/x", b"/", b"a/../b", Joined(b"/home/x/b", 1, certain=False)),
    "taken-back-above": (b"/home/x", b"/", b"../a/../b", Joined(b"/home/b", -1, certain=False)),
}


@pytest.mark.parametrize("case", JOINED)
def test_a_name_joined_to_its_start(case: str) -> None:
    start, root, name, expected = JOINED[case]
    assert join(start, root, name) == expected


@given(COMPONENTS, COMPONENTS)
def test_without_a_jail_it_is_a_path_normalised(start: list[bytes], name: list[bytes]) -> None:
    above = os.path.normpath(b"/" + b"/".join(start)).replace(b"//", b"/")
    joined = join(above, b"/", b"/".join(name))
    assert joined.path == os.path.normpath(above + b"/" + b"/".join(name)).replace(b"//", b"/")
    if joined.depth >= 0:
        below = Path(os.fsdecode(joined.path)).relative_to(os.fsdecode(above))
        assert len(below.parts) == joined.depth


@given(COMPONENTS, COMPONENTS)
def test_nothing_leaves_a_jail_that_it_starts_in(inside: list[bytes], name: list[bytes]) -> None:
    start = join(b"/jail", b"/jail", b"/".join(inside)).path
    assert Path(os.fsdecode(join(start, b"/jail", b"/".join(name)).path)).is_relative_to("/jail")


@pytest.mark.parametrize(
    ("name", "refused"),
    [(b"a/b", False), (b"a/../b", False), (b"..", True), (b"a/../../b", True), (b"/a", True), (b".", False), (b"", False)],
)
def test_refused_names_beneath_a_directory(name: bytes, refused: bool) -> None:
    assert leaves(name) is refused


def place(path: bytes, **fields: Any) -> File:
    return File(1, path, **({"mount_namespace": 10, "inode": 2, "device": 3} | fields))


ROOT: Final = place(b"/")
JAIL: Final = place(b"/jail", inode=50)
HOME: Final = Home(10, lambda file: (file.inode, file.device) == (2, 3))


def requested(name: bytes, start: File | None, root: File | None = ROOT, flags: int = 0, home: Home | None = HOME) -> File:
    return Request(name + b"\0", flags, start, root).file(7, home)


def test_a_directory_that_must_not_be_left() -> None:
    """The kernel refuses there, and goes no further."""
    file = requested(b"a/../../b", JAIL, JAIL, wire.BENEATH)
    assert (file.path, file.requested, file.resolved) == (b"/jail", b"a/../../b", False)
    assert requested(b"a/b", JAIL, JAIL, wire.BENEATH).path == b"/jail/a/b"


def test_a_links_text_in_a_jail() -> None:
    link = place(b"/jail/in/link", resolved=False)
    resolved = {name: requested(name, link, JAIL, wire.RELATIVE_TO_LINK | wire.ONCE) for name in (b"a", b"../../../a", b"/a")}
    assert {name: file.path for name, file in resolved.items()} == {b"a": b"/jail/in/a", b"../../../a": b"/jail/a", b"/a": b"/jail/a"}
    assert [file.requested for file in resolved.values()] == [b"", b"../../../a", b""]


@pytest.mark.parametrize("foreign", [False, True])
def test_a_links_text_is_as_foreign_as_its_name(foreign: bool) -> None:
    link = File(1, b"/in/link", resolved=False, foreign=foreign)
    assert [requested(name, link, ROOT, wire.RELATIVE_TO_LINK).foreign for name in (b"../a", b"/in/a")] == [foreign, foreign]


@pytest.mark.parametrize("start", [None, File(1, b""), File(1, b"pipe:[5]")])
def test_an_unknown_start_directory(start: File | None) -> None:
    assert requested(b"a", start) == File(7, b"", resolved=False, requested=b"a")


def test_a_start_that_was_removed() -> None:
    """Another directory may have its name by then."""
    gone = place(b"/home/x", deleted=True)
    inside, above = requested(b"a", gone), requested(b"../a", gone)
    assert (inside.path, inside.deleted, inside.foreign) == (b"/home/x/a", True, True)
    assert (above.path, above.deleted, above.foreign) == (b"/home/a", False, False)


FOREIGN: Final = {
    "ours": (place(b"/etc"), ROOT, False),
    "jail": (place(b"/jail"), JAIL, False),
    "same-root": (place(b"/etc", mount_namespace=11), place(b"/", mount_namespace=11), False),
    "container": (place(b"/etc", mount_namespace=11), place(b"/", mount_namespace=11, inode=3), True),
    "container-of-another-device": (place(b"/etc", mount_namespace=11), place(b"/", mount_namespace=11, device=4), True),
    "jail-elsewhere": (place(b"/jail", mount_namespace=11), place(b"/jail", mount_namespace=11), True),
    "descriptor-from-elsewhere": (place(b"/etc", mount_namespace=11), ROOT, True),
    "not-known": (place(b"/etc", mount_namespace=11), None, True),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_which_paths_are_our_own(case: str) -> None:
    start, root, foreign = FOREIGN[case]
    assert requested(b"a", start, root).foreign is foreign
    assert not requested(b"a", start, root, home=None).foreign


def test_depth_below_a_watched_path() -> None:
    wanted = wire.FROM_WANTED | wire.START_WANTED
    assert [requested(name, JAIL, ROOT, wanted).depth for name in (b".", b"a", b"a/b", b"..", b"../jail/a")] == [0, 1, 2, -1, -1]
    assert [requested(name, JAIL, ROOT, wire.START_WANTED).depth for name in (b".", b"a")] == [0, -1]
    assert [requested(name, JAIL, ROOT, wire.FROM_WANTED).depth for name in (b".", b"a")] == [-1, 1]


SOURCES: Final = {
    "text": (b"scratch", b"tmpfs", b""),
    "looks-like-a-path": (b"/scratch", b"tmpfs", b""),
    "unknown-type": (b"/server/share", b"nosuchfs", b"/server/share"),
    "unknown-type-text": (b"server", b"nosuchfs", b""),
    "relative": (b"vda", b"ext4", b"/dev/vda"),
    "no-file-system": (b"/dev/vda", b"", b""),
}


@pytest.mark.parametrize("case", SOURCES)
def test_the_source_of_a_mount(case: str) -> None:
    source, kind, path = SOURCES[case]
    start = ROOT if source.startswith(b"/") else place(b"/dev")
    file = Request(source + b"\0" + kind + b"\0", wire.SOURCE | wire.ONCE, start, ROOT).file(7, None)
    assert (file.path, file.requested, file.filesystem) == ((path, b"", b"") if path else (b"", source, kind))


def test_types_of_file_systems_are_the_kernels() -> None:
    """proc(5): nodev precedes those that need no device."""
    for line in Path("/proc/filesystems").read_text().splitlines():
        nodev, _, name = line.rpartition("\t")
        assert mounts.takes_device(name.encode(), b"x") is (nodev == "")
        assert mounts.takes_device(name.encode() + b".kind", b"x") is (nodev == "")
    assert mounts.takes_device(b"nosuchfs", b"/dev/vda")
    assert not mounts.takes_device(b"nosuchfs", b"vda")
