"""The cases in cases/: their names, their titles, and the programs built from them.

Separate, because this needs neither a kernel nor a tracer.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
BUILD: Final = ROOT / "build" / "conformance"
FLAGS: Final = ("-O1", "-Wall", "-Werror", "-pthread", "-static", "-s", f"-I{HERE}")
"""Static: otherwise the dynamic linker's opens, reads and maps would be among a case's own events."""

GROUPS: Final = {
    "io": "plain open, read, write, close and dup",
    "metadata": "queries about a file: stat, access, readlink, getdents, extended attributes, handles",
    "memory": "mapped files, and page faults in them",
    "namespace": "names created, renamed and removed; attributes and lengths changed",
    "transfer": "from one file into another within the kernel",
    "uring": "the same operations through io_uring",
    "position": "the position of an open file, and hints about later accesses",
    "fd_sharing": "descriptors that do not come from open: passed, inherited, by handle, without a name",
    "compat": "32-bit calls of a 64-bit kernel",
    "misc": "calls and cases that tracers often miss",
    "reuse": "memory and numbers that the kernel reuses: names, directories, mounts, inodes",
    "identity": "one file under several names, several files under one",
}
"""Folder of cases/ to its topic."""


@dataclass(frozen=True, slots=True)
class Case:
    """One program of cases/."""

    group: str
    name: str

    @property
    def id(self) -> str:
        return f"{self.group}/{self.name}"

    @property
    def source(self) -> Path:
        return HERE / "cases" / self.group / f"{self.name}.c"

    @property
    def program(self) -> Path:
        return BUILD / self.group / self.name

    @property
    def title(self) -> str:
        """Return its first comment."""
        comment = re.search(r"/\*(?! SPDX)(.*?)\*/", self.source.read_text(), re.DOTALL)
        return " ".join(comment[1].replace("\n *", " ").split()) if comment else ""

    @property
    def ops(self) -> set[str]:
        """Return the operations that it expects, from the names in its source and in the header of its group."""
        source = self.source.read_text()
        header = HERE / f"{self.group}.h"
        shared = header.read_text() if f'#include "{header.name}"' in source else ""
        found = re.findall(r'expect\(\s*"(\w+)"|\\"op\\":\\"(\w+)', source + shared)
        return {op for pair in found for op in pair if op}


def all_cases(words: Iterable[str] = ()) -> list[Case]:
    """Return the cases whose id contains one of the words, or all without words, by group and name."""
    found = [Case(group, file.stem) for group in GROUPS for file in sorted((HERE / "cases" / group).glob("*.c"))]
    wanted = tuple(words)
    return [case for case in found if not wanted or any(word in case.id for word in wanted)]


def build(cases: Iterable[Case]) -> None:
    """Build those that are older than their sources, in parallel. Raises CalledProcessError with gcc's output."""
    jobs = [(HERE / "driver.c", driver()), *((case.source, case.program) for case in cases)]
    headers = max(header.stat().st_mtime for header in HERE.glob("*.h"))
    stale = [job for job in jobs if _built(job[1]) <= max(job[0].stat().st_mtime, headers)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(_compile, *zip(*stale, strict=True)) if stale else ())


def driver() -> Path:
    return BUILD / "driver"


def _built(program: Path) -> float:
    return program.stat().st_mtime if program.exists() else 0.0


def _compile(source: Path, program: Path) -> None:
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", *FLAGS, "-o", str(program), str(source)], check=True)
