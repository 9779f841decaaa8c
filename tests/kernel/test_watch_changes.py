"""Watched files as they appear, are moved, are replaced and go.

Separate from test_watch_names.py, where the files stay as they are.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.kernel.harness import notes
from tests.kernel.watching import operations, python, reported, touches, watching

# Files that appear, are moved or removed


def test_new_files_and_directories(place: Path) -> None:
    for recursive in (True, False):
        with watching(place, "in", recursive=recursive) as (shell, watch):
            shell.do(
                f"echo x >in/new; mkdir -p in/dir/low; echo x >in/dir/low/file; {touches('in/dir', 'in/dir/low')}; rm -r in/dir in/new"
            )
        seen = [name for name in reported(watch, place) if name != "in"]  # rm and mkdir open directories too
        assert seen.count("in/new") == 1
        assert ("in/dir/low/file" in seen) == recursive


def test_moved_in(place: Path) -> None:
    with watching(place, "in") as (shell, watch):
        shell.do(f"{touches('out/five')}; mv out/five in/five; {touches('in/five')}; ln in/five out/link; {touches('out/link')}")
    assert reported(watch, place) == ["in/five", "out/link"]


EXCHANGE = f'{sys.executable} -c \'import ctypes; ctypes.CDLL(None).renameat2(-100, b"out/five", -100, b"in/one", 2)\''
ARRIVED = {
    "moved": ("mv out/five in/five; ln in/five out/link", "out/link"),
    "linked": ("ln out/five in/five", "out/five"),
    "replaced": ("mv out/five in/one; ln in/one out/link", "out/link"),
    "exchanged": (f"{EXCHANGE}; ln in/one out/link", "out/link"),
    "through a link": ("ln -s in to; mv out/five to/five; ln in/five out/link", "out/link"),
}


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("how", ARRIVED)
def test_an_arrived_file_is_known_before_its_first_use(place: Path, how: str, follow: bool) -> None:
    """Once the call that moved it is reported, its other names are reported too; the file that left instead is not, nor any other file."""
    script, other = ARRIVED[how]
    with watching(place, "in", ops=("open", "rename", "link"), follow=follow) as (shell, watch):
        shell.do(f"{touches('out/five')}; {script}")
        watch.run_until(lambda: any(event.op in ("rename", "link") for event in watch.events))
        shell.do(f"{touches(other, 'out/sub/six')}")
    assert [name for op, name, _ in operations(watch.events, place) if op == "open" and name.startswith("out/")] == [other]


def test_too_many_arrivals_are_noted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filetap.capture.rules.NAMES_IN_A_LOOK", 1)
    with watching(place, "in", ops=("open", "link")) as (shell, watch):
        shell.do("for n in 1 2 3 4 5; do ln out/five in/$n; done")
    (note,) = [note for note in notes(watch.stats) if "could not be added to the table of watched inodes" in note]
    assert note.startswith("4 ")


def test_an_arrived_file_that_is_moved_out_is_dropped(place: Path) -> None:
    with watching(place, "in", ops=("open", "rename")) as (shell, watch):
        shell.do("mv out/five in/five")
        watch.run_until(lambda: len(watch.events) == 1)
        shell.do(f"mv in/five out/five; {touches('out/five')}")
    assert operations(watch.events, place) == [("rename", "out/five", "in/five"), ("rename", "in/five", "out/five")]


LINKED = {
    "open": 'fd = os.open("out/a", os.O_CREAT | os.O_WRONLY); os.write(fd, b"before"); os.link("out/a", "in/a")',
    "delivered": 'fd = os.open("out/a", os.O_CREAT | os.O_WRONLY); os.link("out/a", "in/a"); os.unlink("out/a")',
    "delivered-late": 'fd = os.open("out/a", os.O_CREAT | os.O_WRONLY); os.write(fd, b"b"); os.link("out/a", "in/a"); os.unlink("out/a")',
    "without-a-name": 'fd = os.open("out", os.O_TMPFILE | os.O_WRONLY); assert not libc.linkat(fd, b"", -100, b"in/a", 0x1000)',
    "by-proc": 'fd = os.open("out", os.O_TMPFILE | os.O_WRONLY); os.write(fd, b"before"); '
    'assert not libc.linkat(-100, b"/proc/self/fd/%d" % fd, -100, b"in/a", 0x400)',
    "renamed": 'fd = os.open("out/a", os.O_CREAT | os.O_WRONLY); os.write(fd, b"before"); os.rename("out/a", "in/a")',
}


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("path", ["in", "in/a"])
@pytest.mark.parametrize("how", LINKED)
def test_writes_through_a_descriptor_older_than_the_name(place: Path, how: str, path: str, follow: bool) -> None:
    """Immediately, without reading any event meanwhile, and even though links are not selected. The oracle is the file's size."""
    with watching(place, path, ops=("write",), follow=follow, wait=True) as (shell, watch):
        shell.do(python(f'{LINKED[how]}\nos.write(fd, b"x" * 1000); os.write(fd, b"x" * 1001)'))
    written = [event for event in watch.events if event.result > 6]
    assert [event.result for event in written] == [1000, 1001]
    status = os.stat(place / "in/a")
    assert {event.file.inode for event in written if event.file} == {status.st_ino}
    assert sum(event.result for event in watch.events) <= status.st_size <= sum(event.result for event in written) + len(b"before")


def test_writes_through_a_descriptor_after_the_name_is_gone(place: Path) -> None:
    """A file that is moved out is no longer watched, unless moves are followed; a removed file is reported like any file that was
    removed while open."""
    end = 'os.write(fd, b"x" * 7); os.rename("in/a", "out/b"); os.write(fd, b"x" * 8); open("out/b", "ab", 0).write(b"x" * 9)'
    for follow, sizes in ((False, [7]), (True, [7, 8, 9])):
        with watching(place, "in", ops=("write",), follow=follow) as (shell, watch):
            shell.do(python(f"{LINKED['without-a-name']}\n{end}"))
        assert [event.result for event in watch.events] == sizes
    with watching(place, "in", ops=("write",)) as (shell, watch):
        shell.do(python(f'{LINKED["without-a-name"]}\nos.write(fd, b"x" * 7); os.unlink("in/a"); os.write(fd, b"x" * 8)'))
    assert [event.result for event in watch.events] == [7, 8]


def test_an_excluded_name_selects_no_file(place: Path) -> None:
    with watching(place, "in", ops=("write",), exclude=[str(place / "in/sub")], recursive=True, places=False, follow=True) as (
        shell,
        watch,
    ):
        shell.do(python(LINKED["delivered"].replace("in/a", "in/sub/a") + '\nos.write(fd, b"x")'))
    assert watch.events == []


def test_directory_moved_in(place: Path) -> None:
    with watching(place, "in", recursive=True) as (shell, watch):
        shell.do(f"{touches('out/sub/six')}; mv out/sub in/came; {touches('in/came/six')}; mv in/came out/sub; {touches('out/sub/six')}")
    assert reported(watch, place) == ["in/came/six"]


FOLLOW = pytest.mark.parametrize("follow", [True, False])


@FOLLOW
def test_moved_out(place: Path, follow: bool) -> None:
    with watching(place, "in", follow=follow) as (shell, watch):
        shell.do(f"mv in/one out/one; {touches('out/one', 'in/two')}; mv out/one out/other; {touches('out/other')}")
    assert reported(watch, place) == [*["out/one"] * follow, "in/two", *["out/other"] * follow]


@FOLLOW
def test_moved_out_while_open(place: Path, follow: bool) -> None:
    with watching(place, "in", ops=("read", "close"), follow=follow) as (shell, watch):
        shell.do("exec 7<in/one; read x <&7; mv in/one out/one; read x <&7; exec 7<&-")
    paths = {(event.op, name) for event, name in zip(watch.events, reported(watch, place), strict=True)}
    assert paths == {("read", "in/one"), ("close", "in/one"), *[("read", "out/one"), ("close", "out/one")] * follow}


@FOLLOW
def test_moved_out_and_back(place: Path, follow: bool) -> None:
    script = f"mv in/one out/one; {touches('out/one')}; mv out/one in/one; {touches('in/one')}; ln in/one out/link; {touches('out/link')}"
    with watching(place, "in", follow=follow) as (shell, watch):
        shell.do(script)
    assert reported(watch, place) == [*["out/one"] * follow, "in/one", "out/link"]


def test_moved_out_with_another_link(place: Path) -> None:
    """It may be watched under the other name."""
    os.link(place / "in/one", place / "in/again")
    with watching(place, "in") as (shell, watch):
        shell.do(f"mv in/one out/one; {touches('out/one')}")
    assert reported(watch, place) == ["out/one"]


@FOLLOW
def test_directory_moved_out(place: Path, follow: bool) -> None:
    with watching(place, "in", recursive=True, follow=follow) as (shell, watch):
        shell.do(f"mv in/sub out/away; {touches('out/away/three', 'out/away/deep/four')}; echo x >out/away/new; {touches('in/one')}")
    assert reported(watch, place) == [*["out/away/three", "out/away/deep/four", "out/away/new"] * follow, "in/one"]


@FOLLOW
def test_the_directory_itself_moved(place: Path, follow: bool) -> None:
    """A new directory under the old name is watched."""
    with watching(place, "in", follow=follow) as (shell, watch):
        shell.do(f"mv in old; {touches('old/one')}; mkdir in; echo x >in/new; echo x >old/new")
    assert [name for name in reported(watch, place) if name != "in"] == [*["old/one"] * follow, "in/new", *["old/new"] * follow]


REPLACED = {
    "rename": "echo new >out/tmp; mv out/tmp in/one",
    "sed": "sed -i s/one/two/ in/one",
    "editor": "cp in/one in/.one.swp; echo more >>in/.one.swp; mv in/one in/one~; mv in/.one.swp in/one; rm in/one~",
    "recreated": "rm in/one; echo new >in/one",
    "link": "rm in/one; ln out/five in/one",
}


@pytest.mark.parametrize("how", REPLACED)
def test_replaced(place: Path, how: str) -> None:
    """The new file under the name is watched immediately, under its own identity and under its other names."""
    before = os.stat(place / "in/one").st_ino
    with watching(place, "in/one") as (shell, watch):
        shell.do(f"{REPLACED[how]}; exec 7<in/one; ln -f in/one out/link; {touches('out/link')}")
        after = os.stat(place / "in/one").st_ino
        assert watch.produced() >= 2
    assert before != after or how == "recreated"  # its number may be used again: the generation distinguishes them
    assert [(e.path, e.file.inode) for e in watch.events if e.file][-2:] == [
        (os.fsencode(place / name), after) for name in ("in/one", "out/link")
    ]


def test_a_replaced_file_is_dropped(place: Path) -> None:
    for follow in (False, True):
        (place / "in/one").write_text("x")
        with watching(place, "in/one", follow=follow) as (shell, watch):
            shell.do(f"mv in/one out/old; echo new >in/one; {touches('out/old', 'in/one')}; rm out/old")
        assert reported(watch, place) == ["in/one", *["out/old"] * follow, "in/one"]


def test_a_reused_inode_number_is_another_file(place: Path) -> None:
    """A removed file leaves a rule behind, and its number may be used again elsewhere: the generation distinguishes them."""
    with watching(place, "in") as (shell, watch):
        for number in range(50):
            shell.do(f"echo x >in/new{number}; rm in/new{number}; echo x >out/new{number}")
    assert reported(watch, place) == [f"in/new{number}" for number in range(50)]
