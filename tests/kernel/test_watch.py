"""Files that are watched: by whatever name they are reached, as they appear, are moved, are replaced and go.

Apart from test_filters.py and test_identity.py, where a PATH is what it was when tracing began. All processes are
targets, as in ``filetap watch``. The oracle is what the shell was told to do, and os.stat.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from filetap.capture.source import KernelSource
from filetap.core.errors import UsageError
from filetap.selection.targets import Targets
from tests.kernel.harness import Event, Shell, Watch, notes, wanted

OPS = ("open", "rename", "link", "unlink", "exec", "stat", "mkdir", "rmdir")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("in/one", "in/two", "in/sub/three", "in/sub/deep/four", "out/five", "out/sub/six"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@contextmanager
def watching(
    place: Path, *paths: str, ops: Sequence[str] = ("open",), types: Sequence[str] = ("directory",), alone: bool = False, **filters: Any
) -> Iterator[tuple[Shell, Watch]]:
    """A shell in the place, and what is told of all processes while the block lasts; or of the shell ``alone``, where slots
    are counted: a stranger's name with ".." takes one, until user space has looked at it."""
    filters = {"recursive": False, "places": True} | filters
    with Shell() as shell:
        shell.do(f"cd {place}")
        chosen = wanted(*ops, types=types, paths=[str(place / path) for path in paths], **filters)
        targets = Targets(pids=[shell.pid]) if alone else Targets(all=True)
        with Watch(targets, chosen, latency=False) as watch:
            yield shell, watch


def reported(watch: Watch, place: Path) -> list[str]:
    """Paths of the events, below the place."""
    assert watch.stats.total.seen == watch.stats.total.delivered == len(watch.events) + watch.strangers
    return [event.path.decode().removeprefix(f"{place}/") for event in watch.events]


def said(events: Sequence[Event], place: Path) -> list[tuple[str, str, str]]:
    """op, path, and the second path."""
    paths = [[name.decode().removeprefix(f"{place}/") for name in (event.path, event.target_path)] for event in events]
    return [(event.op, path, second) for event, (path, second) in zip(events, paths, strict=True)]


def touches(*names: str) -> str:
    return "; ".join(f": <{name}" for name in names)


# What a PATH means


def test_directory_means_itself_and_its_children(place: Path) -> None:
    with watching(place, "in") as (shell, watch):
        shell.do(f"{touches('in', 'in/one', 'in/sub', 'in/sub/three', 'out/five', '.')}; cd in; {touches('two', '../out/five')}")
    assert reported(watch, place) == ["in", "in/one", "in/sub", "in/two"]


def test_recursive_means_all_below(place: Path) -> None:
    (place / "in/away").symlink_to("../out")
    with watching(place, "in", recursive=True) as (shell, watch):
        shell.do(touches("in", "in/one", "in/sub", "in/sub/three", "in/sub/deep/four", "in/away/five", "out/five"))
    assert reported(watch, place) == ["in", "in/one", "in/sub", "in/sub/three", "in/sub/deep/four"]


def test_files_and_nothing_beside(place: Path) -> None:
    with watching(place, "in/one", "out/five", ops=OPS, alone=True) as (shell, watch):
        shell.do(f"{touches('in/one', 'in/two', 'out/five', 'in', 'in/one')}; stat in/one in/two /etc/passwd >/dev/null")
        assert watch.produced() == 4
    assert said(watch.events, place) == [("open", "in/one", ""), ("open", "out/five", ""), ("open", "in/one", ""), ("stat", "in/one", "")]
    assert {event.file.inode for event in watch.events if event.file} == {0, *(os.stat(place / n).st_ino for n in ("in/one", "out/five"))}


def test_own_kinds_of_files(place: Path) -> None:
    """What is no regular file is touched as well: a pipe, a device."""
    os.mkfifo(place / "in/pipe")
    with watching(place, "in", types=["pipe"]) as (shell, watch):
        shell.do("exec 7<>in/pipe; exec 7>&-")
    assert reported(watch, place) == ["in/pipe"]


@pytest.mark.parametrize("path", ["/", "/proc/self/mounts"])
def test_what_has_no_name_of_its_own(path: str) -> None:
    """The root, and a file whose name a symbolic link makes up."""
    with Watch(Targets(all=True), wanted("open", paths=[path], places=True, recursive=False, types=["directory"])) as watch:
        subprocess.run(["/bin/sh", "-c", ": </; : </proc/self/mounts"], check=True)
    assert b"/" in {event.path for event in watch.events} if path == "/" else watch.events == []


# Under any name


def test_hard_links_made_before_and_after(place: Path) -> None:
    os.link(place / "in/one", place / "out/before")
    with watching(place, "in") as (shell, watch):
        shell.do(f"{touches('out/before')}; ln in/two out/after; {touches('out/after', 'in/one', 'out/five')}")
    assert reported(watch, place) == ["out/before", "out/after", "in/one"]
    assert [event.file.inode for event in watch.events if event.file] == [
        os.stat(place / name).st_ino for name in ("in/one", "in/two", "in/one")
    ]


def test_hard_links_of_what_is_new(place: Path) -> None:
    with watching(place, "in") as (shell, watch):
        shell.do(f"echo x >in/new; ln in/new out/link; {touches('out/link')}")
    assert reported(watch, place) == ["in/new", "out/link"]


def test_hard_link_made_into_the_directory(place: Path) -> None:
    """From its first use there on, the file's old name counts too, though it was known as nobody's."""
    with watching(place, "in") as (shell, watch):
        shell.do(f"{touches('out/five')}; ln out/five in/five; {touches('in/five', 'out/five')}")
    assert reported(watch, place) == ["in/five", "out/five"]


def test_symbolic_links(place: Path) -> None:
    (place / "to-one").symlink_to("in/one")
    (place / "to-in").symlink_to("in")
    with watching(place, "in") as (shell, watch):
        shell.do(touches("to-one", "to-in/two"))
    assert reported(watch, place) == ["in/one", "in/two"]


def test_path_that_is_a_symbolic_link(place: Path) -> None:
    (place / "to-one").symlink_to("in/one")
    with watching(place, "to-one") as (shell, watch):
        shell.do(touches("in/two", "in/one", "to-one"))
    assert reported(watch, place) == ["in/one", "in/one"]


@pytest.fixture
def private() -> Iterator[Shell]:
    """A shell in a mount namespace of its own."""
    with Shell("unshare", "-m", "--propagation", "private", "/bin/sh") as shell:
        yield shell


@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize(
    ("source", "told_of"),
    [
        ("in", {"one": True, "sub/three": False, "new": True}),
        ("in/sub", {"three": False, "deep/four": False, "new": False}),
        ("in/one", {"": True}),
        (".", {"in/one": True, "in/new": True}),
    ],
)
def test_bind_mounts_in_another_mount_namespace(
    place: Path, private: Shell, recursive: bool, source: str, told_of: dict[str, bool]
) -> None:
    """Of the directory, of what lies below it, of a file, of what lies above; told without -r too, or with it alone."""
    target = place / "mounted"
    target.touch() if (place / source).is_file() else target.mkdir()
    private.do(f"cd {place}; mount --bind {source} mounted")
    with watching(place, "in", recursive=recursive) as (_, watch):
        private.do("; ".join(f": >>mounted/{name}" if name else ": >>mounted" for name in (*told_of, *["out/five"] * (source == "."))))
    expected = [name for name, direct in told_of.items() if direct or recursive]
    assert reported(watch, place) == [f"mounted/{name}".rstrip("/") for name in expected]
    assert not (place / "mounted/one").exists()  # not in this namespace


def test_bind_mounts_of_named_files(place: Path, private: Shell) -> None:
    (place / "mounted").mkdir()
    private.do(f"cd {place}; mount --bind in mounted")
    with watching(place, "in/one") as (_, watch):
        private.do(f"{touches('mounted/one', 'mounted/two')}; mv mounted/two mounted/one; {touches('mounted/one')}")
    assert reported(watch, place) == ["mounted/one", "mounted/one"]


def test_mount_point_is_watched_wherever_its_file_system_is_mounted(place: Path) -> None:
    with Shell("unshare", "-m", "--propagation", "private", "/bin/sh") as shell:
        shell.do(f"cd {place}; mkdir a b; mount -t tmpfs none a; mount --bind a b; echo x >a/file")
        (place / "inside.py").write_text(f"""
import os
os.chdir({str(place)!r})
from tests.kernel.harness import Watch, wanted
from filetap.selection.targets import Targets
with Watch(Targets(all=True), wanted("open", paths=["a"], places=True, recursive=False)) as watch:
    os.system(": <a/file; : <b/file; : <out/five")
print(*sorted(os.path.relpath(e.path.decode()) for e in watch.events))
""")
        lines = shell.do(f"cd {os.getcwd()}; PYTHONPATH=. {sys.executable} {place}/inside.py")
    assert lines == ["a/file b/file"]


def test_names_in_another_mount_namespace(place: Path, private: Shell) -> None:
    """An operation that has no file to be known by is known by where its name starts."""
    (place / "mounted").mkdir()
    private.do(f"cd {place}; mount --bind in mounted; cd mounted")
    with watching(place, "in", ops=("unlink", "mkdir", "rename")) as (_, watch):
        private.do("rm one; mkdir new; cd sub; rm three; cd ..; rm sub/deep/four; mv two six")
    assert said(watch.events, place) == [
        ("unlink", "mounted/one", ""),
        ("mkdir", "mounted/new", ""),
        ("rename", "mounted/two", "mounted/six"),
    ]


# Names that begin where text does not tell


def python(code: str) -> str:
    """A command for the shell; failures of calls are the test's own."""
    calls = "import ctypes, os; from contextlib import suppress; libc = ctypes.CDLL(None, use_errno=True)"
    return f"/usr/bin/python3 -I -S -c '{calls}\n{code}'"


JAILED = """
os.chroot("in"); os.chdir("/sub")
os.mkdir("../../../new"); os.rename("../../new", "/../newer"); os.stat("../../../one"); os.rmdir("../newer")
"""


def test_names_in_a_chroot(place: Path) -> None:
    """The kernel does not leave the root by "..": who watches below it is told, who watches the names that text would make is not."""
    ops = ("mkdir", "rename", "stat", "rmdir")
    with watching(place, "in", ops=ops, recursive=True) as (shell, watch):
        shell.do(python(JAILED))
    expected = [("mkdir", "in/new", ""), ("rename", "in/new", "in/newer"), ("stat", "in/one", ""), ("rmdir", "in/newer", "")]
    assert said(watch.events, place) == expected
    above = place.parent.parent
    with watching(place, *(str(above / name) for name in ("new", "newer", "one")), ops=ops, wait=True) as (shell, watch):
        shell.do(python(JAILED))
        shell.do(f"mkdir {above}/new; rmdir {above}/new")
    assert [(event.op, event.path) for event in watch.events] == [(op, os.fsencode(above / "new")) for op in ("mkdir", "rmdir")]


CONTAINED = """
root = os.getcwd() + "/mounted"; os.chdir(root)
assert not libc.unshare(0x20000) and not libc.mount(b"none", b"/", None, 1 << 18 | 1 << 14, None)
assert not libc.mount(b"none", root.encode(), b"tmpfs", 0, None)
os.chdir(root); os.makedirs(root + PLACE + "/in"); open(root + PLACE + "/in/one", "w").close()
assert not libc.syscall(155, b".", b".") and not libc.umount2(b".", 2)
os.chdir("/"); os.stat(PLACE + "/in/one"); os.unlink(PLACE + "/in/one"); os.rmdir(PLACE + "/in")
"""


def test_names_in_a_container(place: Path) -> None:
    """The same text is another file there, whose root is another directory."""
    (place / "mounted").mkdir()
    with watching(place, "in", "in/one", ops=("stat", "unlink", "rmdir"), recursive=True) as (shell, watch):
        assert shell.do(python(CONTAINED.replace("PLACE", f'"{place}"'))) == []
        shell.do("rm in/one")
    assert (place / "in").exists()
    assert [(event.op, event.path) for event in watch.events if event.op != "stat"] == [("unlink", os.fsencode(place / "in/one"))]
    assert all(event.task.comm == b"rm" for event in watch.events)


def test_absolute_names_in_another_mount_namespace_of_the_same_root(place: Path, private: Shell) -> None:
    """As of a service with a private /tmp: they mean the same."""
    with watching(place, "in/one", ops=("stat", "unlink")) as (_, watch):
        private.do(f"stat {place}/in/one; rm {place}/in/one")
    assert [event.op for event in watch.events if event.task.comm == b"stat"] == ["stat"]
    assert [event.op for event in watch.events if event.op == "unlink"] == ["unlink"]


def test_names_in_a_removed_directory(place: Path) -> None:
    """They lead nowhere, though another directory has the name by now; what is above is still there."""
    (place / "in/empty").mkdir()
    with watching(place, "in/empty/new", "in/one", ops=("mkdir", "stat"), wait=True) as (shell, watch):
        shell.do("cd in/empty; rmdir ../empty; mkdir ../empty")
        shell.do("mkdir new; stat ../one; mkdir ../empty/new")
    assert [(event.op, event.path.decode().removeprefix(f"{place}/")) for event in watch.events] == [
        ("stat", "in/one"),
        ("mkdir", "in/empty/new"),
    ]
    assert watch.events[-1].result == 0


IN_ROOT = """
import struct
how = lambda resolve: ctypes.create_string_buffer(struct.pack("QQQ", 0, 0, resolve), 24)
fd = os.open("in", os.O_PATH)
for name, resolve in ((b"/none", 16), (b"../../none", 16), (b"/in/none", 8), (b"../in/none", 8)):
    libc.syscall(437, fd, name, how(resolve), 24)
"""


def test_names_that_may_not_leave_a_directory(place: Path) -> None:
    """openat2 with RESOLVE_IN_ROOT stays below it; with RESOLVE_BENEATH the kernel goes no further than the directory itself."""
    with watching(place, "in") as (shell, watch):
        shell.do(python(IN_ROOT))
    assert reported(watch, place) == ["in", "in/none", "in/none", "in", "in"]
    with watching(place, "none", wait=True) as (shell, watch):
        shell.do(python(IN_ROOT))
    assert watch.events == []


def test_a_name_that_means_where_it_starts(place: Path) -> None:
    """Of a watched directory's child, which is no directory whose children are wanted."""
    with watching(place, "in", ops=("setattr",)) as (shell, watch):
        shell.do("cd in/sub; chmod 755 . ; chmod 755 deep/..; chmod 755 deep; chmod 755 ..")
    assert reported(watch, place) == ["in/sub", "in/sub", "in"]


# As they appear, are moved and go


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
def test_what_arrived_is_known_before_its_first_use(place: Path, how: str, follow: bool) -> None:
    """Once the call that brought it is told, under its other names too; what went elsewhere instead is not, nor a stranger."""
    script, other = ARRIVED[how]
    with watching(place, "in", ops=("open", "rename", "link"), follow=follow) as (shell, watch):
        shell.do(f"{touches('out/five')}; {script}")
        watch.run_until(lambda: any(event.op in ("rename", "link") for event in watch.events))
        shell.do(f"{touches(other, 'out/sub/six')}")
    assert [name for op, name, _ in said(watch.events, place) if op == "open" and name.startswith("out/")] == [other]


def test_what_is_too_much_for_one_look_is_noted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filetap.capture.rules.NAMES_IN_A_LOOK", 1)
    with watching(place, "in", ops=("open", "link")) as (shell, watch):
        shell.do("for n in 1 2 3 4 5; do ln out/five in/$n; done")
    (note,) = [note for note in notes(watch.stats) if "could not be added to the table of watched inodes" in note]
    assert note.startswith("4 ")


def test_what_arrived_and_was_moved_out_is_dropped(place: Path) -> None:
    with watching(place, "in", ops=("open", "rename")) as (shell, watch):
        shell.do("mv out/five in/five")
        watch.run_until(lambda: len(watch.events) == 1)
        shell.do(f"mv in/five out/five; {touches('out/five')}")
    assert said(watch.events, place) == [("rename", "out/five", "in/five"), ("rename", "in/five", "out/five")]


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
def test_writing_through_a_descriptor_from_before_the_name(place: Path, how: str, path: str, follow: bool) -> None:
    """At once: nothing of the run is read meanwhile, and links are not even asked for. The oracle is the file's size."""
    with watching(place, path, ops=("write",), follow=follow, wait=True) as (shell, watch):
        shell.do(python(f'{LINKED[how]}\nos.write(fd, b"x" * 1000); os.write(fd, b"x" * 1001)'))
    told_of = [event for event in watch.events if event.result > 6]
    assert [event.result for event in told_of] == [1000, 1001]
    status = os.stat(place / "in/a")
    assert {event.file.inode for event in told_of if event.file} == {status.st_ino}
    assert sum(event.result for event in watch.events) <= status.st_size <= sum(event.result for event in told_of) + len(b"before")


def test_a_descriptor_from_before_the_name_when_that_is_gone(place: Path) -> None:
    """Moved out it is watched no more, unless all that has moved stays; removed it is as any file that was removed while open."""
    end = 'os.write(fd, b"x" * 7); os.rename("in/a", "out/b"); os.write(fd, b"x" * 8); open("out/b", "ab", 0).write(b"x" * 9)'
    for follow, sizes in ((False, [7]), (True, [7, 8, 9])):
        with watching(place, "in", ops=("write",), follow=follow) as (shell, watch):
            shell.do(python(f"{LINKED['without-a-name']}\n{end}"))
        assert [event.result for event in watch.events] == sizes
    with watching(place, "in", ops=("write",)) as (shell, watch):
        shell.do(python(f'{LINKED["without-a-name"]}\nos.write(fd, b"x" * 7); os.unlink("in/a"); os.write(fd, b"x" * 8)'))
    assert [event.result for event in watch.events] == [7, 8]


def test_an_excluded_name_makes_no_file_wanted(place: Path) -> None:
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
    """Nobody can say that it is not watched under the other."""
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
    """What takes its name is watched then."""
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
    """Whatever bears the name is watched: at once, under its own identity, and under its other names."""
    before = os.stat(place / "in/one").st_ino
    with watching(place, "in/one") as (shell, watch):
        shell.do(f"{REPLACED[how]}; exec 7<in/one; ln -f in/one out/link; {touches('out/link')}")
        after = os.stat(place / "in/one").st_ino
        assert watch.produced() >= 2
    assert before != after or how == "recreated"  # that may have the number again: its generation tells them apart
    assert [(e.path, e.file.inode) for e in watch.events if e.file][-2:] == [
        (os.fsencode(place / name), after) for name in ("in/one", "out/link")
    ]


def test_what_was_replaced_is_dropped(place: Path) -> None:
    for follow in (False, True):
        (place / "in/one").write_text("x")
        with watching(place, "in/one", follow=follow) as (shell, watch):
            shell.do(f"mv in/one out/old; echo new >in/one; {touches('out/old', 'in/one')}; rm out/old")
        assert reported(watch, place) == ["in/one", *["out/old"] * follow, "in/one"]


def test_what_takes_an_inode_number_again_is_another(place: Path) -> None:
    """A member that is gone leaves a rule behind, and its number may come again elsewhere: the generation tells them apart."""
    with watching(place, "in") as (shell, watch):
        for number in range(50):
            shell.do(f"echo x >in/new{number}; rm in/new{number}; echo x >out/new{number}")
    assert reported(watch, place) == [f"in/new{number}" for number in range(50)]


# --missing-ok


def test_wait_for_a_file(place: Path) -> None:
    with watching(place, "in/soon", wait=True, ops=("open", "unlink")) as (shell, watch):
        shell.do("echo x >in/sooner; echo x >in/soon; rm in/soon; echo x >in/soon; ln in/soon out/link; : <out/link")
    assert said(watch.events, place) == [
        ("open", "in/soon", ""),
        ("unlink", "in/soon", ""),
        ("open", "in/soon", ""),
        ("open", "out/link", ""),
    ]


@pytest.mark.parametrize("recursive", [True, False])
def test_wait_for_a_directory(place: Path, recursive: bool) -> None:
    with watching(place, "in/soon", wait=True, recursive=recursive) as (shell, watch):
        shell.do("mkdir in/soon; mkdir in/soon/low; echo x >in/soon/file; echo x >in/soon/low/file; echo x >in/file")
    assert reported(watch, place) == ["in/soon/file", *["in/soon/low/file"] * recursive]


@pytest.mark.parametrize("missing", range(2, 9))
def test_wait_for_missing_parents(place: Path, missing: int) -> None:
    """Up to eight names that are not there: the last of them is watched, and none before it."""
    names = [f"n{number}" for number in range(missing)]
    path, parent = "/".join(names), "/".join(names[:-1])
    with watching(place, path, wait=True, recursive=True) as (shell, watch):
        shell.do(
            f"mkdir -p {parent}; echo x >{parent}/beside; mkdir {path}; echo x >{path}/file; mkdir -p out/{path}; echo x >out/{path}/no"
        )
    assert reported(watch, place) == [f"{path}/file"]


def test_one_too_many_to_wait_for(place: Path) -> None:
    with (
        pytest.raises(UsageError, match="9 components of this path do not exist; --missing-ok allows at most 8"),
        watching(place, "/".join("abcdefghi"), wait=True),
    ):
        pass


def test_without_wait_a_path_must_be_there(place: Path) -> None:
    with pytest.raises(UsageError, match=r"in/none: No such file or directory; --missing-ok"), watching(place, "in/none"):
        pass


def test_below_a_file_nothing_can_appear(place: Path) -> None:
    with pytest.raises(UsageError, match="in/one is not a directory"), watching(place, "in/one/none", wait=True):
        pass


@pytest.mark.parametrize("recursive", [True, False])
def test_deleted_and_made_again(place: Path, recursive: bool) -> None:
    with watching(place, "in", recursive=recursive, ops=("open", "rmdir")) as (shell, watch):
        shell.do("rm -r in; mkdir in; echo x >in/one; mkdir in/sub; echo x >in/sub/three")
    names = reported(watch, place)
    assert names[names.index("in/one", len(names) - 2) :] == ["in/one", *["in/sub/three"] * recursive]
    assert ("rmdir", "in", "") in said(watch.events, place)


# Names


def test_names_that_lead_there(place: Path) -> None:
    """Absolute, relative, from a descriptor, up and down again, long; and their failures."""
    long = "in/" + "./" * 200 + "one"
    with watching(place, "in", ops=("stat", "open")) as (shell, watch):
        shell.do(
            f"stat {place}/in/one in/one out/../in/one {long} >/dev/null; cat in/none 2>/dev/null; cd in; stat one none >/dev/null 2>&1"
        )
        shell.do(f"cd {place}/out; stat ../in/two five ../out/five >/dev/null; stat /etc/in /in 2>/dev/null")
    assert [name for name in reported(watch, place) if name.startswith("in/")] == ["in/one"] * 4 + [
        "in/none",
        "in/one",
        "in/none",
        "in/two",
    ]
    assert set(reported(watch, place)) == {"in/one", "in/two", "in/none"}


def test_names_of_strangers_are_dropped_in_the_kernel(place: Path) -> None:
    """Not a slot in the CPU rings, not a definition."""
    with watching(place, "in", ops=("all",), alone=True) as (shell, watch):
        for _ in range(100):  # what other processes move meanwhile makes names be looked at again
            shell.do("mkfifo out/pipe; rm out/pipe")
            watch.session.run_once()  # it has been looked where "out" leads
            before = watch.produced(), watch.session.source._reader.ring.produced()
            shell.do("stat /etc/passwd /etc/none out/five >/dev/null 2>&1; ls /etc >/dev/null")
            shell.do("mkfifo out/pipe; rm out/pipe; mkdir out/new")
            after = watch.produced(), watch.session.source._reader.ring.produced()
            shell.do("rmdir out/new")
            if after == before:
                break
        assert after == before


def test_two_names_of_which_one_is_wanted(place: Path) -> None:
    with watching(place, "in", ops=("rename", "link", "symlink")) as (shell, watch):
        shell.do(
            "mv out/five in/five; mv in/five out/five; ln out/five in/link; ln -s /etc/none in/sym; ln -s in/one out/sym; ln -s none out/no"
        )
    assert said(watch.events, place) == [
        ("rename", "out/five", "in/five"),
        ("rename", "in/five", "out/five"),
        ("link", "out/five", "in/link"),
        ("symlink", "/etc/none", "in/sym"),
    ]


# Many


@pytest.mark.native("200,000 names fill a machine's memory, and take minutes there")
def test_a_hundred_thousand_files(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Each touched through a hard link outside: exactly those are told, by their inode numbers."""
    count, chosen = 100_000, 1000
    for number in range(count // 1000):
        (tmp_path / "in" / str(number)).mkdir(parents=True)
        for name in range(1000):
            os.close(os.open(tmp_path / "in" / str(number) / str(name), os.O_CREAT | os.O_WRONLY))
    (tmp_path / "out").mkdir()
    numbers = random.Random(1).sample(range(count), chosen)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with watching(tmp_path, "in", recursive=True) as (shell, watch):
        record_property(
            "start", f"{time.monotonic() - began:.2f} s, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before} KiB more"
        )
        for number in numbers:
            os.link(tmp_path / f"in/{number // 1000}/{number % 1000}", tmp_path / f"out/{number}")
        shell.do("for file in out/*; do : <$file; done")
        watch.run_until(lambda: len(watch.events) >= chosen)
    expected = {(f"out/{number}", os.stat(tmp_path / f"in/{number // 1000}/{number % 1000}").st_ino) for number in numbers}
    assert {(name, event.file.inode) for name, event in zip(reported(watch, tmp_path), watch.events, strict=True) if event.file} == expected
    assert len(watch.events) == chosen


def test_more_files_than_there_is_room_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filetap.capture.rules.FOLLOWED", 3)
    with pytest.raises(UsageError, match="more than 3 files"), watching(place, "in", recursive=True):
        pass


def test_strangers_do_not_fill_the_table(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More files of others than the tables of files hold: no note, and what is watched is told."""
    monkeypatch.setattr("filetap.capture.source.FILE_CACHE", 1024)
    (place / "many").mkdir()
    for number in range(5000):
        (place / "many" / str(number)).touch()
    with watching(place, "in") as (shell, watch):
        assert isinstance(watch.session.source, KernelSource)
        shell.do(f"for file in many/*; do : <$file; done; {touches('in/one')}")
    assert reported(watch, place) == ["in/one"]
    assert [note for note in notes(watch.stats) if "32-bit calls" not in note] == []  # whoever makes such beside
