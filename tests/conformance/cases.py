"""The cases as they lie in cases/: which there are, their titles, and the programs built from them.

Apart, because to know a case needs no kernel and no tracer.
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
"""Static: what a dynamic linker opens, reads and maps would stand among a case's own events."""

GROUPS: Final = {
    "io": "open, read, write, close and dup in their plain ways",
    "metadata": "what is asked about a file: stat, access, readlink, getdents, extended attributes, handles",
    "memory": "mapped files, and page faults in them",
    "namespace": "names made, moved and removed; attributes and lengths changed",
    "transfer": "from one file into another inside the kernel",
    "uring": "the same through io_uring",
    "position": "the position of an open file, and hints about what comes",
    "fd_sharing": "descriptors that came another way than open: passed, inherited, by handle, without a name",
    "compat": "32-bit calls of a 64-bit kernel",
    "misc": "calls and ways that tracers forget",
    "reuse": "memory and numbers that the kernel gives to others: names, directories, mounts, inodes",
    "identity": "one file under several names, several files under one",
}
"""Folder of cases/ to what its cases differ in."""


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
        """Its first comment."""
        comment = re.search(r"/\*(?! SPDX)(.*?)\*/", self.source.read_text(), re.DOTALL)
        return " ".join(comment[1].replace("\n *", " ").split()) if comment else ""

    @property
    def ops(self) -> set[str]:
        """The operations that it expects, by what its source and the header of its family call them."""
        source = self.source.read_text()
        header = HERE / f"{self.group}.h"
        shared = header.read_text() if f'#include "{header.name}"' in source else ""
        found = re.findall(r'expect\(\s*"(\w+)"|\\"op\\":\\"(\w+)', source + shared)
        return {op for pair in found for op in pair if op}


def all_cases(words: Iterable[str] = ()) -> list[Case]:
    """Those whose id contains one of the words; without words all, by group and name."""
    found = [Case(group, file.stem) for group in GROUPS for file in sorted((HERE / "cases" / group).glob("*.c"))]
    wanted = tuple(words)
    return [case for case in found if not wanted or any(word in case.id for word in wanted)]


def build(cases: Iterable[Case]) -> None:
    """Those that are older than their sources, several at once. Raises CalledProcessError with what gcc said."""
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
