"""What all tests share: where the installed command and the workload are, and two refusals to look green.

Apart, because pytest wants it so. Next: tests/unit needs neither root nor a kernel; tests/kernel and tests/e2e do.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
NEED_ROOT: Final = {ROOT / "tests" / folder for folder in ("kernel", "e2e", "conformance")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A tracer that was never tested against the kernel must not pass because somebody was not root."""
    if os.geteuid() != 0 and any(NEED_ROOT.intersection(item.path.parents) for item in items):
        raise pytest.UsageError("tests/kernel, tests/e2e and tests/conformance need root: sudo make test, or make test ARGS=tests/unit")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run in which every test was skipped tested nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and not session.config.option.collectonly and reporter and not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture(scope="session")
def filetap() -> tuple[str, ...]:
    """The installed command, as the beginning of an argument vector."""
    command = Path(sys.executable).parent / "filetap"
    return (str(command),) if command.exists() else (sys.executable, "-c", "from filetap.cli.main import main; main()")


@pytest.fixture(scope="session")
def workload() -> str:
    """bench/workload.c, whose counts of calls and bytes are exact."""
    program = ROOT / "build" / "workload"
    if not program.exists():
        pytest.fail(f"{program} is missing: make build/workload", pytrace=False)
    return str(program)
