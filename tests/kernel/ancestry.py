"""Programs that touch files and report their ancestors: what the tests of test_ancestry.py run, and the comparison.

The oracle is /proc, which the program walks at that moment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.core.batch import Task
from tests.kernel.harness import Run, by_path, trace, wanted

PROC: Final = """
import ctypes, json, os, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36
folder = sys.argv[1]

def above(pid):
    # Number, name and program of what a process descends from, from its parent up to the first of all.
    found = []
    while pid := int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1]):
        found.append([pid, open(f"/proc/{pid}/comm").read()[:-1], program(pid)])
    return found

def program(pid):
    # None: the link of the first process may be unreadable.
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except PermissionError:
        return None

def touch(name, **fields):
    os.close(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT))
    print(json.dumps({"file": name, "above": above(os.getpid()), "ppid": os.getppid()} | fields), flush=True)

def child(act):
    # Forked, and waited for.
    pid = os.fork()
    if not pid:
        act()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    return pid

def orphan(act):
    # The child of a process that has ended. Returns what that was.
    out, into = os.pipe()
    def middle():
        me = os.getpid()
        if not os.fork():
            while os.getppid() == me:
                time.sleep(0.001)
            act(me)
            os.write(into, b".")
            os._exit(0)
    pid = child(middle)
    os.read(out, 1)
    return pid

"""
"""Programs that touch files and report their ancestors at that moment."""
OPENS: Final = wanted("open")


def script(text: str, folder: Path, *args: str) -> list[str | Path]:
    return [sys.executable, "-S", "-E", "-c", PROC + text, folder, *args]


def run(text: str, folder: Path, **options: Any) -> Run:
    done = trace(script(text, folder), wanted("open", paths=[str(folder)]), options)
    assert done.status == 0
    assert not [note for note in done.stats.notes if "descriptions did not fit" in note]
    return done


def same(ancestors: Sequence[Task], above: Sequence[list[Any]]) -> bool:
    """Return whether these processes are the ones that /proc showed."""
    found = [(process.pid, os.fsdecode(process.comm)) for process in ancestors]
    programs = zip(ancestors, above, strict=True)
    return found == [(pid, comm) for pid, comm, _ in above] and all(
        exe in (None, os.fsdecode(process.exe)) for process, (*_, exe) in programs
    )


def agrees(done: Run, folder: Path) -> None:
    """Check that each touch has the ancestors that /proc showed."""
    assert done.lines
    for line in done.lines:
        (event,) = by_path(done.events, folder / line["file"])
        assert same(event.task.ancestors, line["above"]), line["file"]
        assert event.task.ppid == line["ppid"] == line["above"][0][0]
        assert not event.task.is_cut


BY_OPTION: Final = pytest.mark.parametrize("options", [{}, {"arguments": True}, {"ancestors": True}], ids=["", "args", "ancestors"])
