"""A file system whose structures are unknown when filetap's programs are loaded is reported in a note.

Separate, as it removes a module that other tests use: it runs in machines of vm/, before all others and alone.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.kernel.harness import trace, wanted

pytestmark = pytest.mark.hooks

SCRIPT = """
mount -t tmpfs late . && cd "$PWD" && mkdir lower upper work all && touch lower/one
mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work late all
cat all/one; umount all; cd /; umount "$OLDPWD"
"""


@pytest.mark.parametrize("late", [True, False])
def test_inodes_beneath_an_overlay(tmp_path: Path, late: bool) -> None:
    if late:
        subprocess.run(["modprobe", "-r", "overlay"], check=True)
    assert ("overlay " in Path("/proc/modules").read_text()) is not late
    known = Path("/sys/kernel/btf/overlay").exists()  # since v5.11 the kernel has BTF of modules
    run = trace(["/bin/sh", "-ec", SCRIPT], wanted("open"), cwd=tmp_path)
    assert run.status == 0
    assert {bool(event.file.real_inode) for event in run.events if event.file and event.path.endswith(b"/all/one")} == {known}
    assert any("overlayfs" in note for note in run.stats.notes) is not known
