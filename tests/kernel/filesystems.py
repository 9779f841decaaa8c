"""File systems that a test creates, mounts and removes.

Separate from conftest.py, because a file system that the kernel does not support is reported here, with the missing
part. The images are sparse files behind loop devices.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

MAKERS: Final = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q"), "btrfs": ("mkfs.btrfs", "-q")}
"""Options of file systems that need a device."""
IMAGE_SIZE: Final = 400 << 20
"""Bytes. xfs needs at least 300 MB."""
NAMES: Final = ("tmpfs", *MAKERS, "overlay on ext4", "overlay on tmpfs")


@contextmanager
def mounted(name: str, folder: Path) -> Iterator[Path]:
    """Mount a new file system, one of NAMES, on an empty directory."""
    kind, _, beneath = name.partition(" on ")
    if beneath:
        with mounted(beneath, folder) as below:
            yield from _overlay(below, folder)
    else:
        yield from _mount(kind, folder)


def _mount(kind: str, folder: Path) -> Iterator[Path]:
    point = folder / kind
    point.mkdir()
    if kind == "tmpfs":
        _run("mount", "-t", "tmpfs", "tmpfs", point)
    else:
        image = folder / f"{kind}.image"
        with image.open("wb") as stream:
            stream.truncate(IMAGE_SIZE)
        _run(*MAKERS[kind], image)
        _run("mount", "-o", "loop", "-t", kind, image, point)
    yield from _until_unmounted(point)


def _overlay(below: Path, folder: Path) -> Iterator[Path]:
    point = folder / "overlay"
    for directory in (below / "lower", below / "upper", below / "work", point):
        directory.mkdir()
    layers = f"lowerdir={below}/lower,upperdir={below}/upper,workdir={below}/work"
    _run("mount", "-t", "overlay", "overlay", "-o", layers, point)
    yield from _until_unmounted(point)


def _until_unmounted(point: Path) -> Iterator[Path]:
    try:
        yield point
    finally:
        _run("umount", point)


def _run(*command: str | Path) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}: {done.stderr.strip()}", pytrace=False)
