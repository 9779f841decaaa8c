"""Which files a watched PATH means: directories, missing files, very many files.

Separate from test_filters.py and test_identity_follow.py, where a PATH is what it was when tracing began.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from filetap.capture.kernel_source import KernelSource
from filetap.core.errors import UsageError
from filetap.selection.targets import Targets
from tests.kernel.harness import Watch, notes, wanted
from tests.kernel.watching import OPS, operations, reported, touches, watching

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


def test_files_and_no_other(place: Path) -> None:
    with watching(place, "in/one", "out/five", ops=OPS, alone=True) as (shell, watch):
        shell.do(f"{touches('in/one', 'in/two', 'out/five', 'in', 'in/one')}; stat in/one in/two /etc/passwd >/dev/null")
        assert watch.produced() == 4
    assert operations(watch.events, place) == [
        ("open", "in/one", ""),
        ("open", "out/five", ""),
        ("open", "in/one", ""),
        ("stat", "in/one", ""),
    ]
    assert {event.file.inode for event in watch.events if event.file} == {0, *(os.stat(place / n).st_ino for n in ("in/one", "out/five"))}


def test_own_kinds_of_files(place: Path) -> None:
    """Files that are not regular are reported too: a pipe, a device."""
    os.mkfifo(place / "in/pipe")
    with watching(place, "in", types=["pipe"]) as (shell, watch):
        shell.do("exec 7<>in/pipe; exec 7>&-")
    assert reported(watch, place) == ["in/pipe"]


@pytest.mark.parametrize("path", ["/", "/proc/self/mounts"])
def test_paths_without_a_name_of_their_own(path: str) -> None:
    """The root, and a file that is reached through a generated symbolic link."""
    with Watch(Targets(all=True), wanted("open", paths=[path], places=True, recursive=False, types=["directory"])) as watch:
        subprocess.run(["/bin/sh", "-c", ": </; : </proc/self/mounts"], check=True)
    assert b"/" in {event.path for event in watch.events} if path == "/" else watch.events == []


# --missing-ok


def test_wait_for_a_file(place: Path) -> None:
    with watching(place, "in/soon", wait=True, ops=("open", "unlink")) as (shell, watch):
        shell.do("echo x >in/sooner; echo x >in/soon; rm in/soon; echo x >in/soon; ln in/soon out/link; : <out/link")
    assert operations(watch.events, place) == [
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
    """Up to eight missing components: only the last one is watched."""
    names = [f"n{number}" for number in range(missing)]
    path, parent = "/".join(names), "/".join(names[:-1])
    with watching(place, path, wait=True, recursive=True) as (shell, watch):
        shell.do(
            f"mkdir -p {parent}; echo x >{parent}/beside; mkdir {path}; echo x >{path}/file; mkdir -p out/{path}; echo x >out/{path}/no"
        )
    assert reported(watch, place) == [f"{path}/file"]


def test_too_many_missing_components(place: Path) -> None:
    with (
        pytest.raises(UsageError, match="9 components of this path do not exist; --missing-ok allows at most 8"),
        watching(place, "/".join("abcdefghi"), wait=True),
    ):
        pass


def test_without_missing_ok_a_path_must_exist(place: Path) -> None:
    with pytest.raises(UsageError, match=r"in/none: No such file or directory; --missing-ok"), watching(place, "in/none"):
        pass


def test_a_path_below_a_file(place: Path) -> None:
    with pytest.raises(UsageError, match="in/one is not a directory"), watching(place, "in/one/none", wait=True):
        pass


@pytest.mark.parametrize("recursive", [True, False])
def test_deleted_and_created_again(place: Path, recursive: bool) -> None:
    with watching(place, "in", recursive=recursive, ops=("open", "rmdir")) as (shell, watch):
        shell.do("rm -r in; mkdir in; echo x >in/one; mkdir in/sub; echo x >in/sub/three")
    names = reported(watch, place)
    assert names[names.index("in/one", len(names) - 2) :] == ["in/one", *["in/sub/three"] * recursive]
    assert ("rmdir", "in", "") in operations(watch.events, place)


# Many


@pytest.mark.native("200,000 names fill a machine's memory, and take minutes there")
def test_a_hundred_thousand_files(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Each is touched through a hard link outside: exactly these are reported, by their inode numbers."""
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


def test_too_many_files(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filetap.capture.rules.FOLLOWED", 3)
    with pytest.raises(UsageError, match="more than 3 files"), watching(place, "in", recursive=True):
        pass


def test_other_files_do_not_fill_the_table(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More other files than the tables of files hold: no note, and watched files are reported."""
    monkeypatch.setattr("filetap.capture.programs.FILE_CACHE", 1024)
    (place / "many").mkdir()
    for number in range(5000):
        (place / "many" / str(number)).touch()
    with watching(place, "in") as (shell, watch):
        assert isinstance(watch.source, KernelSource)
        shell.do(f"for file in many/*; do : <$file; done; {touches('in/one')}")
    assert reported(watch, place) == ["in/one"]
    assert [note for note in notes(watch.stats) if "32-bit calls" not in note] == []  # other processes may make such calls
