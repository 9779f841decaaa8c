"""Compiles the kernel half, bpf/*.bpf.c, to src/filetap/bpf/*.bpf.o, each for older and for newer kernels.

By PyPI's ziglang: no system compiler is needed. Apart, because a build must work before filetap is importable: as hatchling's
build hook for wheels, and as a command for the Makefile (python hatch_build.py SOURCE OBJECT).
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
FLAGS = (
    "-target bpfel-freestanding -mcpu=v2 -O2 -g -fno-unwind-tables -fno-asynchronous-unwind-tables "
    "-Wall -Wextra -Wno-unused-parameter -Werror"
).split()
"""-mcpu=v2 is the newest instruction set that Linux 5.10 accepts in full."""
KINDS = (".bpf.o", ".cast.bpf.o")
"""Of the objects of one source: the second needs bpf_rdonly_cast (bpf/lib/compat.bpf.h, HAS_CAST)."""
HEADERS = ("/usr/include", f"/usr/include/{platform.machine()}-linux-gnu")
"""Of libbpf-dev and linux-libc-dev; the second folder is Debian's."""


def compile_object(source: Path, target: Path) -> None:
    """No path of this machine gets into the object, and a failed build leaves none behind."""
    caches = {name: str(ROOT / "build" / "zig") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    unfinished = target.with_suffix(".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    cast = f"-DHAS_CAST={int(target.name.endswith(KINDS[1]))}"
    includes = [part for folder in HEADERS for part in ("-idirafter", folder)]
    subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", *FLAGS, cast, f"-ffile-prefix-map={ROOT}=.", *includes, "-c", source, "-o", unfinished],
        check=True,
        cwd=ROOT,
        env=os.environ | caches,
    )
    unfinished.replace(target)


class BuildHook(BuildHookInterface[Any]):
    """hatchling looks this class up by its base."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        newest = max(file.stat().st_mtime for file in (ROOT / "bpf").rglob("*.[ch]"))
        for source in sorted((ROOT / "bpf").glob("*.bpf.c")):
            for kind in KINDS:
                target = ROOT / "src" / "filetap" / "bpf" / f"{source.name.removesuffix('.bpf.c')}{kind}"
                if not target.exists() or target.stat().st_mtime < newest:
                    compile_object(source.relative_to(ROOT), target)
        if (ROOT / ".git").exists() and shutil.which("git"):
            describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
            done = subprocess.run(describe, check=False, capture_output=True)  # a tree of another user's has no commit to tell
            (ROOT / "src" / "filetap" / "commit.txt").write_bytes(done.stdout)
        build_data["tag"] = f"py3-none-linux_{platform.machine()}"  # the objects read this machine's registers


if __name__ == "__main__":
    try:
        compile_object(Path(sys.argv[1]), ROOT / sys.argv[2])
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
