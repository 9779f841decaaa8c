"""The version of filetap, and the commit that it was built from."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parent.parent
COMMIT_FILE: Final = PACKAGE / "commit.txt"
"""Written by the build of a wheel (hatch_build.py)."""


def commit() -> str:
    """Return the commit of the source tree that this runs from, with ``-dirty`` if it was changed, else that of the build; "": unknown."""
    tree = PACKAGE.parent.parent
    if (tree / ".git").exists():
        try:
            done = subprocess.run(["git", "-C", tree, *DESCRIBE], capture_output=True, text=True, check=True)
            return done.stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""
    try:
        return COMMIT_FILE.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


DESCRIBE: Final = ("describe", "--always", "--dirty", "--exclude=*", "--abbrev=12")


def text() -> str:
    """Return version and commit: ``filetap 0.1.0 (3c78539f2a41)``."""
    known = commit()
    return f"filetap {version('filetap')}" + (f" ({known})" if known else "")
