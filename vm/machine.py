"""One machine: its disks, its boot, and the output of its serial ports.

Separate from debian.py, which fetches kernels, and from guest.py, which runs inside. A machine has no network and writes to no
image: the root is a snapshot, the other disks are deleted with it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from vm import debian
from vm.debian import ROOT, VMError

CPUS: Final = max(2, min(4, len(os.sched_getaffinity(0))))
"""At least two, for threads that race; each keeps one of this machine's busy."""
MODEL: Final = "Nehalem"
"""The oldest that numpy runs on: QEMU need not emulate what it lacks, such as AVX and SMAP. Half the time of "max"."""
MEMORY: Final = 4096
"""MiB. The largest tests keep 90,000 events and rings of 64 MB."""
TREE: Final = ("src", "bpf", "tests", "bench", "docs", "vm", "build/workload", "build/conformance", "build/programs", "pyproject.toml")
"""The parts of the repository that tests need."""
COMMAND_LINE: Final = (
    "console=ttyS0 quiet panic=-1 oops=panic rw rootwait rootfstype=ext4 init=/init "
    f"root=PARTUUID={debian.SIGNATURE:08x}-01 mitigations=off tsc=reliable init_on_alloc=0"
)
"""An oops ends the machine: tests after it would prove nothing."""
GHOST: Final = "Oops: int3"
"""A fault of QEMU. While a kernel changes its own code a breakpoint is there; QEMU may execute one that has been removed on
all CPUs. Kernels continued until 8e791f7eba4c (v6.3, x86/kprobes: Drop removed INT3 handling code), and end since."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A kernel and how it is booted. ``bpf_lsm``: with bpf in the list of security modules, which the kernel leaves out."""

    kernel: str
    bpf_lsm: bool = False

    @property
    def name(self) -> str:
        return f"{self.kernel} lsm=bpf" if self.bpf_lsm else self.kernel

    def parameters(self) -> str:
        modules = debian.kernel(self.kernel).security_modules
        return f"{COMMAND_LINE} lsm={modules},bpf" if self.bpf_lsm else COMMAND_LINE


MACHINES: Final = (Machine("5.10"), Machine("5.10", bpf_lsm=True), *(Machine(name) for name in debian.SUITES if name != "5.10"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test. ``result``: passed, failed, cannot (the machine lacks what it needs) or left (not meant for machines)."""

    group: str
    test: str
    result: str
    note: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """The results of one machine."""

    machine: Machine
    release: str
    package: str
    outcomes: list[Outcome]
    seconds: float
    console: str
    day: str
    """ISO 8601."""
    tree: str
    """The commit that was run, as git describes it; uncommitted changes make it "-dirty"."""
    ghosts: int = 0
    """How often QEMU ended it (GHOST): the files that had not ended were run in another one."""


@dataclass(frozen=True, slots=True)
class Life:
    """One boot until its end: the files to run, and its output."""

    files: Sequence[str]
    rows: list[dict[str, Any]]
    console: str

    @property
    def unfinished(self) -> list[str]:
        done = {row["done"] for row in self.rows if "done" in row}
        return [file for file in self.files if file not in done]

    @property
    def was_ended_by_qemu(self) -> bool:
        return bool(self.unfinished) and GHOST in self.console

    def outcomes(self) -> list[Outcome]:
        return [Outcome(**row) for row in self.rows if "result" in row]

    def lasting(self) -> list[Outcome]:
        """Return the outcomes that stay when the unfinished files are run again: those of other files, and failures."""
        again = {file.removeprefix("tests/") for file in self.unfinished}
        return [outcome for outcome in self.outcomes() if outcome.result == "failed" or outcome.test.partition("::")[0] not in again]


def run(machine: Machine, files: Sequence[str], limit: float) -> Report:
    """Boot it and run test files inside. Everything that did not end within ``limit`` seconds has failed."""
    kernel, commit, begun = debian.kernel(machine.kernel), tree(), time.monotonic()
    lives = [live(machine, files, limit)]
    if lives[0].was_ended_by_qemu:
        lives.append(live(machine, lives[0].unfinished, limit))
    release = next((row["release"] for row in lives[0].rows if "release" in row), "")
    seconds, day = time.monotonic() - begun, datetime.now(UTC).date().isoformat()
    consoles = "".join(life.console for life in lives)
    return Report(machine, release, kernel.version, gathered(lives), seconds, consoles, day, commit, len(lives) - 1)


def live(machine: Machine, files: Sequence[str], limit: float) -> Life:
    """Boot once, with separate disks."""
    with TemporaryDirectory(prefix="filetap-vm-", dir="/var/tmp") as folder:
        where = Path(folder)
        _work_disk(where, files)
        _boot(machine, where, limit)
        console = (where / "console").read_text(errors="replace")
        lines = (where / "results").read_text(errors="replace").splitlines()
    return Life(files, [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")], console)


def gathered(lives: Sequence[Life]) -> list[Outcome]:
    """Return the outcomes. A file that did not run to its end has failed, unless it was run again."""
    *before, last = lives
    outcomes = [outcome for life in before for outcome in life.lasting()] + last.outcomes()
    return outcomes + [Outcome(group_of(file), file, "failed", "did not run to its end", 0) for file in last.unfinished]


def tree() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "not in git"


def group_of(file: str) -> str:
    """Return the row of the table: kernel/test_calls, conformance/test_conformance."""
    return file.removeprefix("tests/").removesuffix(".py")


def _work_disk(where: Path, files: Sequence[str]) -> None:
    tree = where / "tree"
    for name in TREE:
        source, target = ROOT / name, tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
        else:
            shutil.copy2(source, target)
    for installed in (ROOT / ".venv").glob("lib/*/site-packages/filetap-*.dist-info"):  # its version is read from there
        shutil.copytree(installed, tree / "src" / installed.name)
    now = time.time()
    for program in (tree / "build").rglob("*"):  # a disk stores whole seconds, and nothing is built inside
        os.utime(program, (now + 1, now + 1))
    (tree / "vm" / "files").write_text("\n".join(files))
    debian.make_disk(where / "work.img", tree, 64)


def _boot(machine: Machine, where: Path, limit: float) -> None:
    kernel = debian.kernel(machine.kernel)
    disks = {"root": debian.root_image(), "modules": kernel.modules, "work": where / "work.img"}
    command = [
        *debian.qemu(),
        *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", MODEL, "-smp", str(CPUS), "-m", str(MEMORY)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-monitor", "none"),
        *("-serial", f"file:{where / 'console'}", "-serial", f"file:{where / 'results'}"),
        *("-kernel", str(kernel.image), "-append", machine.parameters()),
        *(word for name, image in disks.items() for word in _disk(name, image)),
    ]
    for name in ("console", "results"):
        (where / name).touch()
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit, check=False, env=_environment(where)
        )
    except subprocess.TimeoutExpired:
        return
    if done.returncode:
        raise VMError(f"QEMU ended with {done.returncode}: {done.stderr[-2000:]}")


def _environment(where: Path) -> dict[str, str]:
    """Return the environment. Snapshots are files in TMPDIR."""
    return {"TMPDIR": str(where), "PATH": "/usr/bin:/bin"}


def _disk(name: str, image: Path) -> tuple[str, ...]:
    return ("-drive", f"file={image},if=none,id={name},format=raw,snapshot=on", "-device", f"nvme,drive={name},serial={name}")


def from_json(row: dict[str, Any]) -> Report:
    """Return the report from the result of ``as_json``; without the console."""
    machine = next(one for one in MACHINES if one.name == row["machine"])
    outcomes = [Outcome(**outcome) for outcome in row["outcomes"]]
    return Report(machine, row["release"], row["package"], outcomes, row["seconds"], "", row["day"], row["tree"], row["ghosts"])


def as_json(report: Report) -> dict[str, Any]:
    """Return the report with all outcomes."""
    rows = [{name: getattr(outcome, name) for name in Outcome.__slots__} for outcome in report.outcomes]
    return {
        "machine": report.machine.name,
        "release": report.release,
        "package": report.package,
        "seconds": report.seconds,
        "day": report.day,
        "tree": report.tree,
        "ghosts": report.ghosts,
        "outcomes": rows,
    }
