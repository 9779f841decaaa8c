"""Scripts in a mount namespace of their own, trees to chroot into, and the events of their files.

Separate from harness.py, because only tests of paths need it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.kernel.harness import SEARCH, Event, Run, trace, wanted

IO = ("open", "read", "write", "close")
PRIVATE = ("unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec")


def files_of(run: Run, op: str = "read") -> list[Event]:
    """Return the events on regular files below /tmp, without libraries."""
    return [event for event in run.events if event.op == op and not event.path.startswith((b"/usr", b"/etc", b"/lib", b"/proc"))]


def private(script: str, *events: str) -> Run:
    """Run a script in a mount namespace of its own, whose mounts no other process sees."""
    return trace([*PRIVATE, script], wanted(*(events or IO)), env=SEARCH)


def make_root(folder: Path) -> Path:
    """Create a tree to chroot into, with busybox or the few programs that the test needs."""
    root = folder / "root"
    for program in ("/bin/cat", "/bin/sh"):
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
        for path in [program, *(word for word in libraries if word.startswith("/"))]:
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    (root / "inside").write_text("inside")
    return root
