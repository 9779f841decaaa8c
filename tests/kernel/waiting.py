"""Programs whose processes wait in calls that do not return by themselves: shared by test_pending_*.py.

The oracle is what the program reports, and /proc/PID/syscall, by which it waits until its children have begun.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from filetap.core.calls import CALLS
from filetap.selection.filters import Filters
from filetap.selection.targets import Targets
from tests.kernel.harness import Event, Watch, hold, release

NUMBERS: Final = {call.name: call.nr for call in CALLS if 0 <= call.nr < 512}
COMMON: Final = f"""
import ctypes, fcntl, json, os, signal, struct, sys, threading, time
root, numbers, children = sys.argv[1], {NUMBERS}, []
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    return libc.syscall(ctypes.c_long(numbers[name]), *map(word, arguments))
def word(value):
    return ctypes.c_long(value) if isinstance(value, int) else value
def text(value):
    return ctypes.c_char_p(os.fsencode(value))
def waits_in(task, name):
    words = open(f"/proc/{{task}}/syscall").read().split()
    assert words[0] != "-1", f"{{name}} has returned"
    return words[0] == str(numbers[name])
def report(call, pid, **fields):
    while not waits_in(fields.get("tid", pid), call):
        time.sleep(0.001)
    print(json.dumps({{"call": call, "pid": pid, "tid": pid}} | fields), flush=True)
def begin(call, act, **fields):
    pid = os.fork()
    if not pid:
        act()
        os._exit(0)
    children.append(pid)
    report(call, pid, **fields)
def end():
    print("begun", flush=True)
    sys.stdin.readline()
    kill()
def kill():
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
def fail(*error):
    sys.__excepthook__(*error)
    kill()  # else the test waits for the end of their standard output
sys.excepthook = fail
"""
"""A program that begins with this has waiting children; it reports what each of them does, and ends them at a line of input."""


class Waiting:
    """A program that begins with COMMON. It is held and does nothing until ``begin``."""

    def __init__(self, code: str, root: Path) -> None:
        self.process = hold([sys.executable, "-S", "-E", "-c", COMMON + code + "\nend()", str(root)], start_new_session=True)
        self.pid = self.process.pid
        self.lines: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Wait until all of its children wait."""
        release(self.process)
        assert self.process.stdout
        while (line := self.process.stdout.readline()) != b"begun\n":
            assert line, "it has ended"
            self.lines.append(json.loads(line))

    def close(self) -> None:
        """End it with all of its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.communicate()


@contextmanager
def waiting(code: str, root: Path) -> Iterator[Waiting]:
    program = Waiting(code, root)
    try:
        yield program
    finally:
        program.close()


def listed(program: Waiting, filters: Filters, *, hung: bool = False, **options: Any) -> tuple[list[Event], Watch]:
    """Return what is listed at the end of a trace of it, which begins before the children wait or, with ``hung``, afterwards."""
    if hung:
        program.begin()
    watch = Watch(Targets(pids=[program.pid]) if hung else Targets(command=program.pid), filters, **options)
    with watch:
        if not hung:
            program.begin()
    (found,) = watch.listings or [[]]
    assert not [event for event in found if event.known], "a call under way has no result"
    return found, watch


def described(event: Event, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an event that a line has too."""
    known = {"call": event.call, "pid": event.pid, "tid": event.tid, "path": os.fsdecode(event.path)}
    known |= {"target": os.fsdecode(event.target_path), "fd": event.fd, "size": event.size, "offset": event.offset}
    known |= {"target_fd": event.target_fd, "argument": event.argument}
    return {name: value for name, value in known.items() if name in fields}


def waits_in(pid: int, call: str) -> bool:
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == str(NUMBERS[call])
