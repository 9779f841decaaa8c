"""A trace, under way, of a command that makes very many events: its lines, decoded fast, and its memory.

Separate from conftest.py, whose runs keep all output in memory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.e2e.conftest import cpu_of, has_ended, smallest_ring, wait_until

LONGEST: Final = 600.0
"""Seconds that a trace may take; on two free cores none takes more than 60."""
MEMORY: Final = 200 << 10
"""KiB that filetap may need for itself, without the mapped ring."""


class About(msgspec.Struct):
    action: str
    kind: str = ""
    count: int = 1
    start: str = ""
    end: str = ""


class File(msgspec.Struct):
    path: str = ""
    inode: str = ""


class Process(msgspec.Struct):
    pid: int = 0


class Thread(msgspec.Struct):
    id: int = 0


class Io(msgspec.Struct):
    result: int = 0
    bytes: int = 0
    offset: int = -1


class Line(msgspec.Struct):
    """The members of an NDJSON line that these tests read; a million can be decoded per second."""

    event: About
    at: str = msgspec.field(name="@timestamp")
    file: File = msgspec.field(default_factory=File)
    process: Process = msgspec.field(default_factory=Process)
    thread: Thread = msgspec.field(default_factory=Thread)
    io: Io = msgspec.field(default_factory=Io)

    @property
    def aggregated(self) -> bool:
        return self.event.kind == "aggregated"

    @property
    def bytes(self) -> int:
        moved = self.event.action in ("read", "write")
        return self.io.bytes if self.aggregated else max(self.io.result, 0) * moved


def moment(text: str) -> float:
    """ISO 8601 to seconds, rounded down to microseconds."""
    return datetime.fromisoformat(text).timestamp()


class Traced:
    """``filetap trace -f json`` of a command, under way. All output goes to files, because it is large."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process, self.pid, self._folder = process, process.pid, folder
        self.began = time.time()
        self.peak = 0
        """Maximum KiB of its own memory."""

    def printed(self) -> list[dict[str, Any]]:
        """Return what the command has printed so far, by line."""
        whole = (self._folder / "truth").read_bytes().rpartition(b"\n")[0]
        return [msgspec.json.decode(line) for line in whole.splitlines()]

    def printed_lines(self) -> int:
        """Return how many whole lines the command has printed so far."""
        return (self._folder / "truth").read_bytes().count(b"\n")

    def lines(self) -> Iterator[Line]:
        decode = msgspec.json.Decoder(Line).decode
        with (self._folder / "events.json").open("rb") as events:
            yield from map(decode, events)

    @property
    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = msgspec.json.decode((self._folder / "account.json").read_bytes())
        return stats

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop filetap; the traced processes go on."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def let_work(self, seconds: float) -> None:
        """Wait until the command has used this much CPU time, or has ended."""
        (pid,) = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        until = cpu_of(int(pid)) + seconds
        wait_until(lambda: has_ended(int(pid)) or cpu_of(int(pid)) >= until)

    def written(self) -> int:
        """Return the number of bytes of output."""
        events = self._folder / "events.json"
        return events.stat().st_size if events.exists() else 0

    def has_written(self) -> bool:
        return self.written() > 0

    def lead(self, files: Sequence[int]) -> None:
        """Let the command go on each time that the next of these files has been reported."""
        for file in files:
            self.follow(file)
            self.let_go(1)

    def follow(self, file: int) -> None:
        """Wait until the file has been reported."""
        self._watch(partial(self._was_reported, b'/file%d"' % file), 0.002)

    def let_go(self, times: int) -> None:
        """Let the command go on, whatever has been reported."""
        go = self.process.stdin
        assert go
        go.write(b"\n" * times)
        go.flush()

    def _was_reported(self, name: bytes) -> bool:
        """Return whether the name is in one of the last lines."""
        if not self.has_written():
            return False
        with (self._folder / "events.json").open("rb") as lines:
            lines.seek(-min(4096, os.fstat(lines.fileno()).st_size), os.SEEK_END)
            return name in lines.read()

    def finish(self) -> None:
        """Wait for its end."""
        self._watch(lambda: self.process.poll() is not None, 0.1)
        self.ended = time.time()
        assert self.process.returncode == 0, (self._folder / "errors").read_text()

    def _watch(self, done: Callable[[], bool], pause: float) -> None:
        """Wait, and record how much memory it needs."""
        deadline = time.monotonic() + LONGEST
        while not done():
            assert time.monotonic() < deadline, "filetap does not end"
            self.peak = max(self.peak, own_memory(self.pid))
            time.sleep(pause)


def own_memory(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def ring(kib: int) -> str:
    """Return this size, or the smallest that the machine's CPUs allow."""
    return f"{smallest_ring(kib)}K"


def balanced(stats: dict[str, Any]) -> bool:
    return all(op["seen"] == op["delivered"] + op["aggregated"] + op["lost"] for op in stats["ops"].values())


def sums(lines: Iterator[Line], key: Callable[[Line], object]) -> dict[object, tuple[int, int]]:
    """Return the sums of events and bytes by key, single and aggregated."""
    counts: Counter[object] = Counter()
    moved: Counter[object] = Counter()
    for line in lines:
        counts[key(line)] += line.event.count
        moved[key(line)] += line.bytes
    return {name: (count, moved[name]) for name, count in counts.items()}
