"""PATHs as identities, and names as hashes: the kernel's configuration, without a kernel.

Separate from tests/kernel/test_watch_*.py, where the kernel applies it. The published vectors of FNV-1a are the oracle
of the hash.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.capture.name_filter import UnresolvedNameFilter
from filetap.capture.rules import NameRules, find_watch_path, lasting, name_hash, names_hash
from filetap.core.batch import File
from filetap.core.errors import UsageError
from filetap.selection.filters import FOLLOWED, Filters


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"", 0xCBF29CE484222325), (b"a", 0xAF63DC4C8601EC8C), (b"foobar", 0x85944171F73967E8)],
)
def test_the_hash_is_fnv_1a(name: bytes, value: int) -> None:
    """draft-eastlake-fnv, appendix C."""
    assert name_hash(name) == value


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=6), st.lists(st.binary(min_size=1, max_size=20), max_size=6))
def test_other_names_have_another_hash(one: list[bytes], other: list[bytes]) -> None:
    assert (names_hash(one) == names_hash(other)) == (one == other)


def test_one_name_is_its_own_hash() -> None:
    assert names_hash([b"one"]) == name_hash(b"one")


def test_identity_of_an_existing_path(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/one").touch()
    (tmp_path / "link").symlink_to("in/one")
    for name in ("in/one", "in/../in//one", "link"):
        assert find_watch_path(str(tmp_path / name), wait=False) == (str(tmp_path / "in/one"), str(tmp_path / "in"), (b"one",))


def test_identity_of_a_missing_path(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("in/soon")
    for name in ("in/soon", "dangling"):
        assert find_watch_path(str(tmp_path / name), wait=True) == (str(tmp_path / "in/soon"), str(tmp_path), (b"in", b"soon"))


def test_the_root_has_no_name() -> None:
    assert find_watch_path("/", wait=False) == ("/", "/", ())


def test_names_of_any_bytes(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    assert find_watch_path(str(tmp_path) + "/\udcff", wait=False).names == (b"\xff",)


def test_names_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    names = NameRules.of(Filters(paths=[str(tmp_path / "one"), str(tmp_path / "a" / ("b" * 100))], places=True, wait=True))
    assert (names.longest, names.lengths) == (2, 1 << 3 | 1 << 1 | 1 << 63)
    assert set(names.basenames) == {name_hash(name) for name in (b"one", b"b" * 100, b"..")}
    assert all(names.basename_bits >> (leaf & 63) & 1 for leaf in names.basenames)


def test_a_trace_has_leaves_and_no_places(tmp_path: Path) -> None:
    """Of the given name, and of its target."""
    (tmp_path / "link").symlink_to("real")
    names = NameRules.of(Filters(paths=[str(tmp_path / "link")]))
    assert (names.watch_paths, names.longest, names.lengths) == ([], 0, 0)
    assert set(names.basenames) == {name_hash(name) for name in (b"link", b"real", b"..")}


def test_errors_have_advice(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, wait, line in (
        ("none", False, "--missing-ok watches for"),
        ("file/none", True, "file is not a directory"),
        ("/".join("abcdefghi"), True, "9 components of this path do not exist; --missing-ok allows at most 8"),
    ):
        with pytest.raises(UsageError, match=line):
            find_watch_path(str(tmp_path / name), wait)


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize(("name", "line"), [("n" * 256, "File name too long$"), ("n/" * 2100, "File name too long$")])
def test_a_name_that_cannot_be_is_not_waited_for(tmp_path: Path, name: str, line: str, wait: bool) -> None:
    with pytest.raises(UsageError, match=line):
        find_watch_path(f"{tmp_path}/{name}", wait)


@pytest.mark.parametrize("wait", [True, False])
def test_an_empty_path_is_not_the_working_directory(wait: bool) -> None:
    """As from an unset shell variable."""
    with pytest.raises(UsageError, match="a PATH is empty"):
        find_watch_path("", wait)


def test_the_kernels_error_for_a_path_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name, reason in (("file/", "Not a directory"), ("file/..", "Not a directory"), ("loop", "Too many levels of symbolic links")):
        with pytest.raises(UsageError, match=f"/{name}: {reason}$"):
            find_watch_path(f"{tmp_path}/{name}", wait=False)


def test_mount_points_are_matched_by_identity(tmp_path: Path) -> None:
    """The mounted files have other names elsewhere; all other paths are matched by name, unless moves are followed."""
    paths = [str(tmp_path), "/proc", str(tmp_path / "none")]
    for follow in (False, True):
        filters = Filters(paths=paths, places=True, wait=True, follow=follow)
        expected = [*[str(tmp_path)] * follow, "/proc"]
        assert [path for path, _ in lasting(filters, NameRules.of(filters).watch_paths)] == expected


def test_room_for_rules() -> None:
    assert Filters(places=True).rule_space == Filters(follow=True).rule_space == FOLLOWED >= 200_000
    assert Filters(paths=["x"] * 10_000).rule_space >= 10_000


DEPTHS: Final = (-1, 0, 1, 2)


@pytest.mark.parametrize(("recursive", "wanted"), [(False, [False, True, True, False]), (True, [False, True, True, True])])
def test_a_name_from_a_wanted_place_needs_no_path(recursive: bool, wanted: list[bool]) -> None:
    """``depth``: the number of components between the watched path and the file."""
    names = UnresolvedNameFilter(Filters(paths=["/in"], recursive=recursive))
    assert [names.wants(File(1, b"/mounted/a", resolved=False, depth=depth)) for depth in DEPTHS] == wanted
    excluding = UnresolvedNameFilter(Filters(paths=["/in"], exclude=["/mounted"]))
    assert not excluding.wants(File(1, b"/mounted/a", resolved=False, depth=1))


def test_a_path_of_another_mount_namespace_is_compared_with_none() -> None:
    names = UnresolvedNameFilter(Filters(paths=["/in"], exclude=["/in/not"]))
    assert [names.wants(File(1, b"/in/a", resolved=False, depth=depth, foreign=True)) for depth in DEPTHS] == [False, True, True, True]
    assert names.wants(File(1, b"/in/not", resolved=False, depth=1, foreign=True))


def test_a_name_that_leads_nowhere_known_is_not_wanted() -> None:
    assert not UnresolvedNameFilter(Filters(paths=["/"])).wants(File(1, b"", resolved=False, requested=b"a"))
    assert UnresolvedNameFilter(Filters(exclude=["/"])).wants(File(1, b"", resolved=False, requested=b"a"))
