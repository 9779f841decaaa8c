"""Runs test files inside a machine, a few at once, and reports each outcome as a line on its second serial port.

Separate, because it runs in the guest. Everything heavy is imported once and each file is a fork of that: Python starts 25
times slower here than outside.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import tty
from pathlib import Path
from typing import Any, Final

import pytest

from vm.machine import group_of

ALONE: Final = ("tests/kernel/test_modules.py", "tests/kernel/test_skipped.py")
"""Run first and alone: they take away modules and events that other tests need."""
PORT: Final = "/dev/ttyS1"
LONGEST: Final = 6000
"""Characters of a note."""
AT_ONCE: Final = (os.cpu_count() or 1) + 3
"""Files at once: more than CPUs, because tests wait. With one more than CPUs, a third of the CPUs' time was idle."""
SLOWER: Final = 8
"""Factor by which a test may wait and take longer than natively."""
OPTIONS: Final = ("--vm", "-q", "-p", "no:cacheprovider", f"--timeout={300 * SLOWER}")
SCRATCH: Final = Path("/tmp/tests")
"""Each file has a separate folder for its temporary folders: pytest repeatedly closes the one that they share by default to
other users, and some tests open theirs."""
ENDED: Final = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}
IMPORTED: Final = ("numpy", "filetap.cli.main", "filetap.capture.session", "tests.kernel.harness", "filetap.capture.features")


class Port:
    """One line is one write, so that lines of several processes do not mix."""

    def __init__(self) -> None:
        self._fd = os.open(PORT, os.O_WRONLY | os.O_NOCTTY)
        tty.setraw(self._fd)

    def emit(self, **row: Any) -> None:
        rest = json.dumps(row).encode() + b"\n"
        while rest:
            rest = rest[os.write(self._fd, rest) :]


class OutcomeReporter:
    """A pytest plugin that reports the outcome of each test."""

    def __init__(self, port: Port, file: str) -> None:
        self.port, self.file = port, file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        properties = dict(report.user_properties)
        group = str(properties.get("group", group_of(self.file)))
        if report.failed:
            self._tell(report.nodeid, group, "failed", f"{report.when}: {report.longreprtext[-LONGEST:]}", report.duration)
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
            self._tell(report.nodeid, group, "cannot", reason.removeprefix("Skipped: "), report.duration)
        else:
            cannot = str(properties.get("cannot", ""))
            self._tell(report.nodeid, group, "cannot" if cannot else "passed", cannot, report.duration)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._tell(report.nodeid, group_of(self.file), "failed", report.longreprtext[-LONGEST:], 0)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        for item in items:
            native, hooks = item.get_closest_marker("native"), item.get_closest_marker("hooks")
            if native:
                self._tell(item.nodeid, group_of(self.file), "left", str(native.args[0]), 0)
            elif hooks:
                self._tell(item.nodeid, group_of(self.file), "cannot", f"needs {', '.join(hooks.args)}", 0)

    def _tell(self, test: str, group: str, result: str, note: str, seconds: float) -> None:
        self.port.emit(group=group, test=re.sub(r"^tests/", "", test), result=result, note=note, seconds=round(seconds, 1))


def main() -> None:
    port = Port()
    os.environ["FILETAP_TEST_PATIENCE"] = str(SLOWER)
    port.emit(release=platform.release())
    for name in IMPORTED:
        __import__(name)
    SCRATCH.mkdir()
    files = Path("vm/files").read_text().split()
    _run(port, [file for file in files if file in ALONE], 1)
    _run(port, [file for file in files if file not in ALONE], AT_ONCE)


def _run(port: Port, waiting: list[str], at_once: int) -> None:
    running: dict[int, str] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            file = waiting.pop(0)
            running[_fork(port, file)] = file
        pid, status = os.wait()
        file = running.pop(pid, "")
        if file and os.waitstatus_to_exitcode(status) in ENDED:
            port.emit(done=file)


def _fork(port: Port, file: str) -> int:
    """Fork a process for one file; its output goes to the console once it is over."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    status = 99
    try:
        folder = SCRATCH / Path(file).stem
        status = int(pytest.main([*OPTIONS, f"--basetemp={folder}", file], plugins=[OutcomeReporter(port, file)]))
        sys.stdout.flush()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
