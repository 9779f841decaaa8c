"""Workloads run alone, under filetap, and as commands to a shell that filetap traces.

Separate, because here processes are started and ended: each is ended even if the measure fails. The shell makes figures exact:
filetap's CPU time and memory can be read before and after a workload, without its start.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from bench.lab import SCRATCH, BenchError

_INSTALLED: Final = Path(sys.executable).parent / "filetap"
_MODULE: Final = [sys.executable, "-c", "from filetap.cli.main import main; main()"]
FILETAP: Final = [str(_INSTALLED)] if _INSTALLED.exists() else _MODULE
STATS: Final = SCRATCH / "account.json"
WATCHED: Final = SCRATCH / "watched"
TOUCHES: Final = SCRATCH / "touches.json"
ERRORS: Final = SCRATCH / "errors"
DRAINED: Final = 0.3
"""Seconds after which a sleeping reader has certainly read everything: its longest sleep is 0.1."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The counts that a workload prints."""

    calls: int
    bytes: int
    ns: int
    ops: dict[str, int]
    """Events that a tracer must report, by op."""

    @property
    def events(self) -> int:
        return sum(self.ops.values())

    @classmethod
    def of(cls, line: str) -> Outcome:
        try:
            return cls(**json.loads(line))
        except (ValueError, TypeError):
            raise BenchError(f"the workload said {line!r}. {_errors()}") from None


@dataclass(frozen=True, slots=True)
class Statistics:
    """The content of filetap's ``--stats``."""

    figures: dict[str, Any]

    def op(self, name: str) -> dict[str, int]:
        """Return one op's counts; zeroes for an op that did not occur."""
        found: dict[str, int] = self.figures["ops"].get(name, dict.fromkeys(("seen", "delivered", "aggregated", "lost", "bytes"), 0))
        return found

    def total(self, count: str) -> int:
        return sum(op[count] for op in self.figures["ops"].values())

    @property
    def missing(self) -> int:
        """Return events seen and not delivered singly."""
        return self.total("seen") - self.total("delivered")


@contextmanager
def started(words: Sequence[str], **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a process that does not outlive the block; SIGTERM first, which filetap forwards to its command."""
    process: subprocess.Popen[str] = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, **settings)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                with suppress(BrokenPipeError):
                    stream.close()


def alone(words: Sequence[str]) -> Outcome:
    """Run it untraced."""
    with started(words) as process:
        return Outcome.of(process.communicate()[0])


def traced(options: Sequence[str], words: Sequence[str]) -> tuple[Outcome, Statistics]:
    """Run ``filetap trace OPTIONS -- WORDS`` to its end."""
    with open(ERRORS, "w", encoding="utf-8") as errors, started(_trace(options, words), stderr=errors) as process:
        output = process.communicate()[0]
    return Outcome.of(output), _stats(process.returncode)


def _trace(options: Sequence[str], words: Sequence[str]) -> list[str]:
    STATS.unlink(missing_ok=True)
    return [*FILETAP, "trace", *options, "--stats", str(STATS), "--", *words]


def _stats(status: int) -> Statistics:
    if status or not STATS.exists():
        raise BenchError(f"filetap ended with {status}. {_errors()}")
    return Statistics(json.loads(STATS.read_text(encoding="utf-8")))


def _errors() -> str:
    return " ".join(ERRORS.read_text(encoding="utf-8", errors="replace").split()[-40:]) if ERRORS.exists() else ""


class Tracer:
    """filetap tracing a shell that waits."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        began = time.monotonic()
        self._process, self.pid = process, process.pid
        self._say("echo ready")
        self.released = time.monotonic() - began
        """Seconds from filetap's start until its command runs."""

    def _say(self, line: str) -> str:
        try:
            _pipe(self._process.stdin).write(line + "\n")
            _pipe(self._process.stdin).flush()
        except BrokenPipeError:
            pass  # the answer will be empty
        answer = _pipe(self._process.stdout).readline()
        if not answer:
            self._process.wait(15)
            raise BenchError(f"filetap ended with {self._process.returncode}. {_errors()}")
        return answer

    def run(self, words: Sequence[str]) -> Outcome:
        """Run a workload, traced from its first call to its last, until its events are read."""
        outcome = Outcome.of(self._say(shlex.join(words)))
        time.sleep(DRAINED)
        return outcome

    def cpu(self) -> float:
        """Return filetap's CPU time so far, seconds; its clock is clock_getcpuclockid(3)'s."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def finish(self) -> Statistics:
        """Let the shell end, and filetap with it."""
        _pipe(self._process.stdin).close()
        try:
            return _stats(self._process.wait(60))
        except subprocess.TimeoutExpired:
            raise BenchError("filetap did not end within a minute of its command") from None


@contextmanager
def tracing(*options: str) -> Iterator[Tracer]:
    """Trace a shell: attached once the block is entered."""
    words = _trace(options, ["/bin/sh"])
    with open(ERRORS, "w", encoding="utf-8") as errors, started(words, stdin=subprocess.PIPE, stderr=errors) as process:
        yield Tracer(process)


@contextmanager
def watching(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``filetap watch`` of ten files that no other process uses. Attached once the block is entered: it has reported a
    test access."""
    WATCHED.mkdir(parents=True, exist_ok=True)
    files = [WATCHED / str(number) for number in range(10)]
    for file in files:
        file.write_text("x")
    words = [*FILETAP, "watch", *options, "-f", "json", "-o", str(TOUCHES), "--force", *map(str, files)]
    with open(ERRORS, "w", encoding="utf-8") as errors, started(words, stderr=errors) as process:
        TOUCHES.unlink(missing_ok=True)
        while not TOUCHES.exists() or not TOUCHES.stat().st_size:
            if process.poll() is not None:
                raise BenchError(f"filetap ended with {process.returncode}. {_errors()}")
            files[0].read_text()
            time.sleep(0.02)
        yield process


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise BenchError("no pipe to filetap")
    return stream
