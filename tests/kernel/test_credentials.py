"""Credentials: every id of a task that is reported; each change is noticed before the next event.

Separate from test_process.py, because the oracle is /proc/self/status, which the program reads at that moment.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import pytest

from filetap.selection.filters import Filters
from tests.kernel.harness import Event, Run, by_path, trace, wanted

WORKLOAD: Final = """
import ctypes, json, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
folder, names = sys.argv[1], ["Uid", "Gid", "Groups"]

def touch(name):
    status = dict(line.split(":", 1) for line in open("/proc/thread-self/status").read().splitlines())
    ids = {key: [int(number) for number in status[key].split()] for key in names}
    os.close(os.open(f"{folder}/{name}", os.O_RDONLY))
    print(json.dumps({"file": name, **ids}), flush=True)

"""
"""Programs that touch files and report their credentials at that moment."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a directory that all users may search: pytest makes its own accessible to root only."""
    made = Path(mkdtemp(prefix="filetap-test-"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


def steps(folder: Path, script: str, names: Iterable[object] = "0", filters: Filters | None = None, *args: str, **options: Any) -> Run:
    """Return a script that touches the files of these names."""
    for name in names:
        (folder / str(name)).touch(0o644)
    command = [sys.executable, "-S", "-E", "-c", WORKLOAD + script, folder, *args]
    run = trace(command, filters or wanted("open", paths=[str(folder)]), options)
    assert run.status == 0
    return run


def reported(event: Event) -> dict[str, list[int | None]]:
    """Return real, effective, saved and file system ids, as in /proc/self/status."""
    c = event.task.credentials
    return {
        "Uid": [c.uid, c.euid, c.suid, c.fsuid],
        "Gid": [c.gid, c.egid, c.sgid, c.fsgid],
        "Groups": [*sorted(c.groups or ())],
    }


def printed_ids(line: dict[str, Any]) -> dict[str, list[int]]:
    return {name: sorted(line[name]) if name == "Groups" else line[name] for name in ("Uid", "Gid", "Groups")}


def agrees(run: Run, folder: Path) -> None:
    """Check that each touch has the program's credentials at that moment."""
    assert run.lines
    for line in run.lines:
        (event,) = by_path(run.events, folder / line["file"])
        assert reported(event) == printed_ids(line), line["file"]


CHANGES: Final = (
    "os.setresuid(11, 12, 13)",
    "os.setresgid(21, 22, 23)",
    "os.setegid(24)",
    "os.seteuid(14)",
    "os.setresuid(-1, -1, 15)",
    "os.setresgid(-1, -1, 25)",
    "libc.setfsuid(16)",
    "libc.setfsgid(26)",
    "os.setgroups([31, 32, 33])",
    "os.setgroups([])",
    "os.setgroups(list(range(1000, 1200)))",
)


def test_each_change_is_noticed(folder: Path) -> None:
    """From a first touch, by which the task is known, to one after the change; each in a process of its own."""
    names = [f"{number}-{when}" for number in range(len(CHANGES)) for when in ("before", "after")]
    script = "os.setgroups([7])\n" + "".join(
        f"if not os.fork(): touch('{number}-before'); {change}; touch('{number}-after'); os._exit(0)\nassert os.wait()[1] == 0\n"
        for number, change in enumerate(CHANGES)
    )
    run = steps(folder, script, names)
    agrees(run, folder)
    assert len(run.lines) == len(names)
    for number, change in enumerate(CHANGES):
        before, after = (reported(by_path(run.events, folder / f"{number}-{when}")[0]) for when in ("before", "after"))
        assert before != after, change


@pytest.mark.parametrize("hooked", ["all calls", "single calls"])
def test_groups_whose_memory_is_used_again(folder: Path, hooked: str) -> None:
    """The kernel frees a list of groups some time after it was replaced: a later list may have the same address."""
    script = """
for i in range(20):
    os.setgroups([i]); touch(f"{i}-a"); os.setgroups([i + 1000]); time.sleep(0.05); os.setgroups([i + 2000]); touch(f"{i}-b")
"""
    filters = wanted("open", *["read"] * (hooked == "all calls"), paths=[str(folder)])
    run = steps(folder, script, [f"{i}-{when}" for i in range(20) for when in "ab"], filters)
    agrees(run, folder)
    assert len(run.lines) == 40


def test_ids_of_a_thread_are_its_own(folder: Path) -> None:
    """In the kernel each thread has its own credentials; the C library's synchronisation is bypassed."""
    script = """
import threading
def other():
    libc.syscall(117, 0, 77, 0)  # setresuid
    touch("1")
touch("0")
t = threading.Thread(target=other); t.start(); t.join()
touch("2")
"""
    run = steps(folder, script, range(3))
    found = [reported(by_path(run.events, folder / str(number))[0])["Uid"] for number in range(3)]
    assert found == [[0, 0, 0, 0], [0, 77, 0, 77], [0, 0, 0, 0]]


def test_more_groups_than_are_kept(folder: Path) -> None:
    """The first 256 are kept, and the list is marked as truncated."""
    run = steps(folder, "os.setgroups(list(range(5000, 6000))); touch('0')")
    (event,) = by_path(run.events, folder / "0")
    assert event.task.credentials.groups == tuple(range(5000, 5256))
    assert event.task.credentials.groups_truncated


def test_groups_and_arguments(folder: Path) -> None:
    """Both follow the definition; neither is confused with the other."""
    run = steps(folder, "os.setgroups([31, 32, 33]); touch('0')", "0", None, "last", arguments=True)
    (event,) = by_path(run.events, folder / "0")
    assert event.task.credentials.groups == (31, 32, 33)
    assert event.task.args
    assert event.task.args[-2:] == (os.fsencode(folder), b"last")


def test_loginuid_is_noticed(folder: Path) -> None:
    """An unset loginuid is 4294967295 in the kernel and is not reported."""
    if not Path("/proc/self/loginuid").exists():
        pytest.skip("a kernel with loginuid (CONFIG_AUDIT)")
    script = """
def login(text):
    with open("/proc/self/loginuid", "w") as file: file.write(text)
login("4294967295"); touch("0"); login("1234"); touch("1")
"""
    run = steps(folder, script, range(2))
    found = [by_path(run.events, folder / str(number))[0].task.credentials.loginuid for number in range(2)]
    assert found == [None, 1234]


def test_ids_in_a_user_namespace_are_the_hosts(folder: Path) -> None:
    """In a user namespace a process is root; the host's user id is reported."""
    script = """
os.setresgid(4321, 4321, 4321); os.setresuid(1234, 1234, 1234)
PR_SET_DUMPABLE = 4
libc.prctl(PR_SET_DUMPABLE, 1)  # else /proc/self is root's
CLONE_NEWUSER = 0x10000000
assert libc.unshare(CLONE_NEWUSER) == 0, os.strerror(ctypes.get_errno())
open("/proc/self/uid_map", "w").write("0 1234 1")
assert os.geteuid() == 0
touch("0")
"""
    run = steps(folder, script)
    (event,) = by_path(run.events, folder / "0")
    c = event.task.credentials
    assert (c.uid, c.euid, c.suid, c.fsuid) == (1234,) * 4


def test_a_created_file_has_the_reported_owner(folder: Path) -> None:
    """The oracle is the owner of the created file."""
    script = "os.setegid(4321); os.seteuid(1234); os.close(os.open(folder + '/made', os.O_CREAT | os.O_WRONLY))"
    run = steps(folder, script, "")
    (event,) = by_path(run.events, folder / "made")
    owner = (folder / "made").stat()
    c = event.task.credentials
    assert (c.euid, c.egid) == (owner.st_uid, owner.st_gid) == (1234, 4321)
    assert (c.uid, c.gid) == (0, 0)
