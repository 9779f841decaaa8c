"""Files that are watched, by whatever name they are reached: links, mounts, chroot, relative names.

Separate from test_watch_changes.py, where the files themselves change.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.harness import Shell
from tests.kernel.watching import operations, python, reported, touches, watching

# Any name of a file


def test_hard_links_made_before_and_after(place: Path) -> None:
    os.link(place / "in/one", place / "out/before")
    with watching(place, "in") as (shell, watch):
        shell.do(f"{touches('out/before')}; ln in/two out/after; {touches('out/after', 'in/one', 'out/five')}")
    assert reported(watch, place) == ["out/before", "out/after", "in/one"]
    assert [event.file.inode for event in watch.events if event.file] == [
        os.stat(place / name).st_ino for name in ("in/one", "in/two", "in/one")
    ]


def test_hard_links_of_new_files(place: Path) -> None:
    with watching(place, "in") as (shell, watch):
        shell.do(f"echo x >in/new; ln in/new out/link; {touches('out/link')}")
    assert reported(watch, place) == ["in/new", "out/link"]


def test_hard_link_made_into_the_directory(place: Path) -> None:
    """From its first use by the new name on, the file's old name is reported too, though it was in the negative cache."""
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
    """Start a shell in a mount namespace of its own."""
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
    """Of the directory, of a path below it, of a file, of a path above it; reported without -r too, or only with it."""
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
    """An operation without a file is matched by its start directory."""
    (place / "mounted").mkdir()
    private.do(f"cd {place}; mount --bind in mounted; cd mounted")
    with watching(place, "in", ops=("unlink", "mkdir", "rename")) as (_, watch):
        private.do("rm one; mkdir new; cd sub; rm three; cd ..; rm sub/deep/four; mv two six")
    assert operations(watch.events, place) == [
        ("unlink", "mounted/one", ""),
        ("mkdir", "mounted/new", ""),
        ("rename", "mounted/two", "mounted/six"),
    ]


# Names whose text is not enough


JAILED = """
os.chroot("in"); os.chdir("/sub")
os.mkdir("../../../new"); os.rename("../../new", "/../newer"); os.stat("../../../one"); os.rmdir("../newer")
"""


def test_names_in_a_chroot(place: Path) -> None:
    """The kernel does not leave the root by "..": changes are reported for the directory inside, and not for the names that the text
    would give."""
    ops = ("mkdir", "rename", "stat", "rmdir")
    with watching(place, "in", ops=ops, recursive=True) as (shell, watch):
        shell.do(python(JAILED))
    expected = [("mkdir", "in/new", ""), ("rename", "in/new", "in/newer"), ("stat", "in/one", ""), ("rmdir", "in/newer", "")]
    assert operations(watch.events, place) == expected
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
    """The same text is another file there, where the root is another directory."""
    (place / "mounted").mkdir()
    with watching(place, "in", "in/one", ops=("stat", "unlink", "rmdir"), recursive=True) as (shell, watch):
        assert shell.do(python(CONTAINED.replace("PLACE", f'"{place}"'))) == []
        shell.do("rm in/one")
    assert (place / "in").exists()
    assert [(event.op, event.path) for event in watch.events if event.op != "stat"] == [("unlink", os.fsencode(place / "in/one"))]
    assert all(event.task.comm == b"rm" for event in watch.events)


def test_absolute_names_in_another_mount_namespace_of_the_same_root(place: Path, private: Shell) -> None:
    """As for a service with a private /tmp: the names mean the same."""
    with watching(place, "in/one", ops=("stat", "unlink")) as (_, watch):
        private.do(f"stat {place}/in/one; rm {place}/in/one")
    assert [event.op for event in watch.events if event.task.comm == b"stat"] == ["stat"]
    assert [event.op for event in watch.events if event.op == "unlink"] == ["unlink"]


def test_names_in_a_removed_directory(place: Path) -> None:
    """They lead nowhere, even after another directory got the name; the parent directory still exists."""
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


def test_openat2_restricted_to_a_directory(place: Path) -> None:
    """openat2 with RESOLVE_IN_ROOT stays below it; with RESOLVE_BENEATH the kernel goes no further than the directory itself."""
    with watching(place, "in") as (shell, watch):
        shell.do(python(IN_ROOT))
    assert reported(watch, place) == ["in", "in/none", "in/none", "in", "in"]
    with watching(place, "none", wait=True) as (shell, watch):
        shell.do(python(IN_ROOT))
    assert watch.events == []


def test_a_name_that_is_its_start_directory(place: Path) -> None:
    """The start directory is a watched directory's child, whose own children are not watched."""
    with watching(place, "in", ops=("setattr",)) as (shell, watch):
        shell.do("cd in/sub; chmod 755 . ; chmod 755 deep/..; chmod 755 deep; chmod 755 ..")
    assert reported(watch, place) == ["in/sub", "in/sub", "in"]


# Names


def test_names_of_watched_files(place: Path) -> None:
    """Absolute, relative, from a descriptor, up and down again, long; and failed names."""
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


def test_other_names_are_dropped_in_the_kernel(place: Path) -> None:
    """No slot in the CPU rings and no definition is written."""
    with watching(place, "in", ops=("all",), alone=True) as (shell, watch):
        for _ in range(100):  # moves by other processes clear the negative cache meanwhile
            shell.do("mkfifo out/pipe; rm out/pipe")
            watch.session.run_once()  # the start directory "out" has been looked up
            before = watch.produced(), watch.source.reader.ring.produced()
            shell.do("stat /etc/passwd /etc/none out/five >/dev/null 2>&1; ls /etc >/dev/null")
            shell.do("mkfifo out/pipe; rm out/pipe; mkdir out/new")
            after = watch.produced(), watch.source.reader.ring.produced()
            shell.do("rmdir out/new")
            if after == before:
                break
        assert after == before


def test_two_names_of_which_one_is_watched(place: Path) -> None:
    with watching(place, "in", ops=("rename", "link", "symlink")) as (shell, watch):
        shell.do(
            "mv out/five in/five; mv in/five out/five; ln out/five in/link; ln -s /etc/none in/sym; ln -s in/one out/sym; ln -s none out/no"
        )
    assert operations(watch.events, place) == [
        ("rename", "out/five", "in/five"),
        ("rename", "in/five", "out/five"),
        ("link", "out/five", "in/link"),
        ("symlink", "/etc/none", "in/sym"),
    ]
