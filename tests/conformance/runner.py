"""Run cases under a tracer: one run of it for all cases, whose events are separated by time.

Separate, because neither the cases nor the comparison know how a tracer is started. A tracer is attached once, to
driver.c, which runs the cases one after another; attaching for each case would take minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tests.conformance import cases as table
from tests.conformance.cases import Case
from tests.conformance.compare import Event, Manner, Score, judge
from tests.timeouts import scaled

CANNOT: Final = 77
"""Exit status of a case that the kernel does not support; see case.h."""
PATIENCE: Final = scaled(120)
"""Seconds for all cases under one tracer."""


class TracerError(Exception):
    """The tracer itself failed, or reports lost events."""


@dataclass(frozen=True, slots=True)
class Tracer:
    """How a tracer is attached to a command, and how its output is read."""

    name: str
    command: Callable[[Path, list[str], set[str]], list[str]]
    """Return the command to execute, given the folder for its files, the command to trace and the operations."""
    read: Callable[[Path], list[Event]]
    """Return its events from those files; ``time`` is of ``clock``, in nanoseconds."""
    clock: Literal["real", "boot"]
    manner: Manner


@dataclass(frozen=True, slots=True)
class Ran:
    """A case that has run: its exit status, or the negative signal, and when."""

    case: Case
    directory: Path
    status: int
    start: int
    end: int

    @property
    def lines(self) -> list[Event]:
        """Return the lines that it printed."""
        return [json.loads(line) for line in self._said(".out").splitlines()]

    @property
    def errors(self) -> str:
        return self._said(".err").strip()

    def _said(self, suffix: str) -> str:
        return self.directory.with_name(self.directory.name + suffix).read_text()


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one case under one tracer."""

    case: Case
    score: Score
    lines: list[Event]
    events: list[Event]
    """All events of the tracer while it ran."""


def run(cases: Sequence[Case], tracer: Tracer) -> list[Result]:
    """Build and run them all. Raises TracerError."""
    table.build(cases)
    with _folder() as folder:
        ran = _run_driver(cases, tracer, folder)
        events = sorted(tracer.read(folder), key=lambda event: int(event["time"]))
        return [_result(one, events, tracer.manner) for one in ran]


def _result(ran: Ran, events: list[Event], manner: Manner) -> Result:
    mine = [event for event in events if ran.start <= event["time"] <= ran.end]
    if ran.status:
        verdict: Literal["cannot", "broken"] = "cannot" if ran.status == CANNOT else "broken"
        return Result(ran.case, Score(verdict, note=ran.errors or f"status {ran.status}"), [], mine)
    return Result(ran.case, judge(ran.lines, mine, str(ran.directory), manner), ran.lines, mine)


@contextmanager
def _folder() -> Iterator[Path]:
    """Return a folder without symbolic links in its path, because cases print the result of getcwd(3)."""
    folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="conformance-")))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _run_driver(cases: Sequence[Case], tracer: Tracer, folder: Path) -> list[Ran]:
    directories = [folder / str(index) / case.name for index, case in enumerate(cases)]
    for directory in directories:
        directory.mkdir(parents=True)
    listed = [f"{case.program}\t{directory}\n" for case, directory in zip(cases, directories, strict=True)]
    (folder / "list").write_text("".join(listed))
    driver = [str(table.driver()), str(folder / "log"), str(folder / "list")]
    _execute(tracer.command(folder, driver, {op for case in cases for op in case.ops}))
    clocks = {"real": slice(2, 4), "boot": slice(4, 6)}[tracer.clock]
    rows = [[int(word) for word in line.split()] for line in (folder / "log").read_text().splitlines()]
    if len(rows) != len(cases):
        raise TracerError(f"{tracer.name}: the driver ran {len(rows)} of {len(cases)} cases")
    return [Ran(cases[row[0]], directories[row[0]], _status(row[1]), *row[clocks]) for row in rows]


def _status(status: int) -> int:
    return os.waitstatus_to_exitcode(status) if status >= 0 else status


def _execute(command: list[str]) -> None:
    """Run it in a process group of its own, so that no process is left."""
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, **options, start_new_session=True, text=True, errors="replace") as process:
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            _end(process)
            raise TracerError(f"{' '.join(command[:3])} ... did not end in {PATIENCE:g} seconds") from None
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        raise TracerError(f"{' '.join(command[:3])} ... ended with {process.returncode}:\n{output}")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
