"""Shared by all tests: the installed command, the workload, tests that only a VM can run, and errors for runs without tests.

pytest requires this file.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.capture import features
from filetap.kernel.types import KernelTypes

ROOT: Final = Path(__file__).parent.parent
NEED_ROOT: Final = {ROOT / "tests" / folder for folder in ("kernel", "e2e", "conformance")}
LEFT_OUT: Final = pytest.StashKey[dict[str, int]]()
"""Reasons why tests are not run here, and their numbers."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vm", action="store_true", help="this is a machine of `make vm`: tests marked hooks run, whatever it denies")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Fail without root: a tracer that was not tested against the kernel must not pass."""
    if os.geteuid() != 0 and any(NEED_ROOT.intersection(item.path.parents) for item in items):
        raise pytest.UsageError("tests/kernel, tests/e2e and tests/conformance need root: sudo make test, or make test ARGS=tests/unit")
    in_vm = config.getoption("vm")
    denied = [item for item in items if lacks_hooks(item, in_vm=in_vm)]
    native = [item for item in items if in_vm and item.get_closest_marker("native")]
    config.stash[LEFT_OUT] = {
        "need hooks that this kernel denies (marker hooks): `make vm` runs them": len(denied),
        "are not for machines (marker native)": len(native),
    }
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = config.stash[LEFT_OUT]
    config.hook.pytest_deselected(items=denied + native)
    items[:] = [item for item in items if item not in denied + native]


def lacks_hooks(item: pytest.Item, *, in_vm: bool) -> bool:
    """Return whether hooks are missing. The marker names attach types that a test needs, all of them; without a name any one is
    sufficient, and every VM has one."""
    marker = item.get_closest_marker("hooks")
    if not marker:
        return False
    return not attaching().issuperset(marker.args) if marker.args else not (in_vm or attaching())


@cache
def attaching() -> set[str]:
    """Return which of lsm, fentry and kprobe this kernel allows."""
    plan = next(plan for plan in features.PLANS if plan.name == "vfs")
    with KernelTypes() as types:
        return {way.name for way in features.hook_set(plan, types, ready=False).ways if way.works}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over the findings of a worker of pytest-xdist; each of them collects all tests."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for reason, number in config.stash.get(LEFT_OUT, {}).items():
        if number:
            terminalreporter.write_line(f"{number} tests {reason}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail if every test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and not session.config.option.collectonly and reporter and not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture(scope="session")
def filetap() -> tuple[str, ...]:
    """Return the installed command, as the beginning of an argument vector."""
    command = Path(sys.executable).parent / "filetap"
    return (str(command),) if command.exists() else (sys.executable, "-c", "from filetap.cli.main import main; main()")


@pytest.fixture(scope="session")
def workload() -> str:
    """Return bench/workload.c, built, whose counts of calls and bytes are exact."""
    program = ROOT / "build" / "workload"
    if not program.exists():
        pytest.fail(f"{program} is missing: make build/workload", pytrace=False)
    return str(program)
