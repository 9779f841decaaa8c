"""How these tests trace: a sink that collects events as plain rows, a command held until it is traced, a shell to command.

The tests contain only what is done and what must be reported. Expected values never come from here but from os.stat,
/proc and the workloads themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import pytest

from filetap.capture.kernel_source import KernelSource
from filetap.capture.options import SMALLEST_CPU_RING, Options
from filetap.capture.outlet import Outlet
from filetap.capture.session import Session
from filetap.core import wire
from filetap.core.batch import Batch, File, Overflow, Task
from filetap.core.calls import CALLS
from filetap.core.sink import Sink
from filetap.core.statistics import Statistics
from filetap.selection.filters import Filters, select_calls, select_types
from filetap.selection.targets import Targets
from tests.conformance.unsupported import no_request_in_completions
from tests.timeouts import scaled, wait_for

NOBODY: Final = 65534
CPUS: Final = int(Path("/sys/devices/system/cpu/possible").read_text().rpartition("-")[2]) + 1
"""Possible CPUs, which may be more than are present: each has a CPU ring."""
SMALLEST_RING: Final = SMALLEST_CPU_RING * 64 * CPUS
READING: Final = """
import os, time
def wait_until_it_reads(pid, fd):
    # It sleeps in read(2) of this descriptor, and no signal is left for it to take.
    while True:
        lines = open(f"/proc/{pid}/status").read().splitlines()
        pending = any(int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd")))
        if not pending and open(f"/proc/{pid}/syscall").read().startswith(f"0 {fd:#x} "):
            return
        time.sleep(0.0005)
"""
"""Python code for programs in which one process waits for another."""
SEARCH: Final = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
"""Environment without a search for locales and with a short PATH."""
names_requests = pytest.mark.skipif(no_request_in_completions(), reason="a completion of io_uring that names its request")
HOLD: Final = ("/bin/sh", "-c", 'read -r go && exec "$@"', "held")


@dataclass(frozen=True, slots=True)
class Event:
    """One event, with files and tasks in place of their numbers."""

    op: str
    call: str
    time: int
    """CLOCK_BOOTTIME, ns."""
    duration: int
    fd: int
    offset: int | None
    size: int | None
    result: int
    tid: int
    open: int
    uncertain: bool
    file: File | None
    task: Task
    target: File | None = None
    """The second file of an operation on two files."""
    target_fd: int | None = None
    """None if the event has no second slot; ``target_offset`` and ``argument`` likewise."""
    target_offset: int | None = None
    argument: int | None = None
    known: bool = True
    """False if the call returned without a known result."""
    at_least: bool = False
    """``duration`` is a lower bound, for a call under way."""

    @property
    def path(self) -> bytes:
        return self.file.path if self.file else b""

    @property
    def target_path(self) -> bytes:
        return self.target.path if self.target else b""

    @property
    def pid(self) -> int:
        return self.task.pid


class Nowhere(Sink):
    """A sink that discards events and keeps overflows."""

    def __init__(self) -> None:
        self.overflows: list[Overflow] = []

    def write(self, batch: Batch) -> None:
        self.written += len(batch.events)

    def aggregated(self, overflows: Sequence[Overflow], _batch: Batch) -> None:
        self.overflows += overflows


class Collector(Nowhere):
    """A sink that keeps all events; with ``alone`` only those of that process and its descendants, and the number of the others."""

    def __init__(self, alone: int | None = None) -> None:
        super().__init__()
        self.alone = alone
        self.events: list[Event] = []
        self.foreign_events = 0
        self.listings: list[list[Event]] = []
        """Calls under way, one list for each listing."""

    def write(self, batch: Batch) -> None:
        events = list(self._events(batch))
        ours = [event for event in events if self.alone is None or self.alone in {task.pid for task in (event.task, *event.task.ancestors)}]
        self.events += ours
        self.foreign_events += len(events) - len(ours)
        super().write(batch)

    def pending(self, batch: Batch) -> None:
        self.listings.append(list(self._events(batch)))
        assert (batch.events["flags"] & wire.PENDING != 0).all()

    def _events(self, batch: Batch) -> Iterator[Event]:
        seconds = iter(rows(batch.ext))
        for row in rows(batch.events):
            ext = next(seconds) if row["flags"] & wire.HAS_EXT else None
            yield self._event(row, ext, batch)
        assert next(seconds, None) is None

    @staticmethod
    def _event(row: dict[str, Any], ext: dict[str, Any] | None, batch: Batch) -> Event:
        call, flags = CALLS[row["call"]], row["flags"]
        opens = call.op == "open"
        second = {name: ext[name] for name in ("target_fd", "target_offset", "argument")} if ext else {}
        return Event(
            op=call.op,
            call=call.name,
            time=row["time"],
            duration=row["duration"] * (1000 if flags & wire.MICROSECONDS else 10**6 if flags & wire.MILLISECONDS else 1),
            at_least=bool(flags & wire.AT_LEAST),
            fd=row["fd"],
            offset=None if flags & wire.NO_OFFSET and not opens else row["offset"],
            size=None if flags & wire.NO_SIZE else row["size"],
            result=row["result"],
            tid=row["tid"],
            open=row["open"],
            uncertain=bool(flags & wire.UNCERTAIN),
            file=batch.files.get(row["file"]) if row["file"] else None,
            task=batch.tasks[row["task"]],
            target=batch.files.get(ext["target"]) if ext and ext["target"] else None,
            known=not flags & wire.NO_RESULT,
            **second,
        )


def rows(records: wire.Records) -> list[dict[str, Any]]:
    return [dict(zip(records.dtype.names or (), row, strict=True)) for row in records.tolist()]


class Counter(Nowhere):
    """A sink that counts events by (call, path of the file)."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[tuple[str, bytes], int] = {}

    def write(self, batch: Batch) -> None:
        keys = batch.events[["call", "file"]]
        for key in {tuple(row) for row in keys.tolist()}:
            number = int(((batch.events["call"] == key[0]) & (batch.events["file"] == key[1])).sum())
            name = (CALLS[key[0]].name, batch.files[key[1]].path if key[1] else b"")
            self.counts[name] = self.counts.get(name, 0) + number
        super().write(batch)


class Watch:
    """A session for the duration of a ``with`` block; ``events`` and ``stats`` are available afterwards. The level is "syscall" unless
    given, so that results do not depend on the hooks that a kernel allows. If all processes are targets, ``events`` are those of this
    process's descendants: the filetap of a parallel test also looks up names in what is watched here."""

    def __init__(self, targets: Targets, filters: Filters | None = None, *, sink: Sink | None = None, **options: Any) -> None:
        self.options = Options(targets, filters or Filters(), **({"level": "syscall"} | options))
        self.sink: Sink = sink or Collector(os.getpid() if targets.all else None)
        self.stats = Statistics()

    def __enter__(self) -> Self:
        self.source = KernelSource(self.options)
        self.session = Session(self.source, [Outlet(self.sink)])
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.stats = self.session.finish()

    @property
    def events(self) -> list[Event]:
        assert isinstance(self.sink, Collector)
        return self.sink.events

    @property
    def foreign_events(self) -> int:
        """Return the number of events of other processes, if all processes are targets."""
        assert isinstance(self.sink, Collector)
        return self.sink.foreign_events

    @property
    def listings(self) -> list[list[Event]]:
        assert isinstance(self.sink, Collector)
        return self.sink.listings

    def produced(self) -> int:
        """Return the number of slots that the kernel has written into the CPU rings so far."""
        return int(self.source.reader.cpu_rings.produced().sum())

    def run_until(self, done: Callable[[], bool], limit: float = 60) -> None:
        end = time.monotonic() + scaled(limit)
        while not done():
            assert time.monotonic() < end, "the workload does not end"
            self.session.run_once()


@dataclass(slots=True)
class Run:
    """The result of one traced command."""

    events: list[Event]
    stats: Statistics
    output: bytes
    status: int
    pid: int
    produced: int = 0
    """Slots written to the CPU rings."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    """The output, if it is JSON lines."""
    attach_types: dict[str, str] = field(default_factory=dict)
    """VFS functions and how they attached."""
    notes: list[str] = field(default_factory=list)
    """Requested operations that were not traced."""

    @property
    def slots(self) -> int:
        """Return the slots that the events take: some take two."""
        return len(self.events) + sum(event.target_fd is not None for event in self.events)


def hold(command: Sequence[str | bytes | os.PathLike[str]], **popen: Any) -> subprocess.Popen[bytes]:
    """Start a command that waits before its exec for a line on its standard input."""
    return subprocess.Popen([*HOLD, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **popen)


def release(held: subprocess.Popen[bytes], word: bytes = b"go\n") -> None:
    assert held.stdin
    held.stdin.write(word)
    held.stdin.flush()


def trace(command: Sequence[Any], filters: Filters | None = None, watch: dict[str, Any] | None = None, **popen: Any) -> Run:
    """Run ``command`` and its descendants to their end, traced from its exec on."""
    held = hold([os.fspath(word) for word in command], **popen)
    tracer = Watch(Targets(command=held.pid), filters, **(watch or {}))
    with held, tracer:
        release(held)
        output = held.communicate(timeout=scaled(60))[0]
        wait_for(lambda: tracer.source.live <= 0)
    produced = tracer.produced()
    lines = [json.loads(line) for line in output.splitlines() if line.startswith(b"{")]
    source = tracer.source
    return Run(tracer.events, tracer.stats, output, held.returncode, held.pid, produced, lines, source.hooks, source.untraced)


def notes(stats: Statistics) -> list[str]:
    """Return the notes, without those about facilities that this kernel lacks."""
    return [note for note in stats.notes if not (note.startswith("not seen: operations through io_uring") and no_request_in_completions())]


def wanted(*events: str, types: Sequence[str] = (), **filters: Any) -> Filters:
    """Return filters given in the words of the command line."""
    return Filters(calls=select_calls(events), types=select_types(types), **filters)


def at_level(level: str, *events: str, types: Sequence[str] = (), **filters: Any) -> tuple[Filters, dict[str, Any]]:
    """Return filters and options of a run at one level, for trace()."""
    return Filters(calls=select_calls(events, level), types=select_types(types), **filters), {"level": level}


class Shell:
    """A shell that runs one script at a time: ``: <FILE`` opens a file in the shell itself. Its PATH is short: a longer one may contain
    "." and "..", and so what a test watches below them."""

    def __init__(self, *command: str) -> None:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(command or ("/bin/sh",), **pipes, env=os.environ | SEARCH)
        self.pid = self.process.pid
        self.do(":")

    def do(self, script: str) -> list[str]:
        """Run a script to its end; return the lines it printed."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{script}\necho '--done--'\n".encode())
        self.process.stdin.flush()
        lines: list[str] = []
        while not (line := self.process.stdout.readline().decode()).endswith("--done--\n"):
            assert line, f"the shell has ended: {lines}"
            lines.append(line.rstrip("\n"))
        return lines

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.stdout
        self.process.stdout.close()
        self.process.wait(scaled(10))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def device(path: str | bytes | Path) -> int:
    """Return st_dev in the kernel's own encoding."""
    number = os.stat(path).st_dev
    return os.major(number) << 20 | os.minor(number)


def by_path(events: Sequence[Event], path: str | bytes | Path) -> list[Event]:
    wanted_path = os.fsencode(path)
    return [event for event in events if event.path == wanted_path]


def calls(events: Sequence[Event]) -> list[str]:
    return [event.call for event in events]
