"""Which mount of this namespace shows a file: parsing of mountinfo, and look-ups.

Separate from tests/kernel, where real mounts are made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from filetap.capture import mounts
from filetap.core import mountinfo
from filetap.core.mountinfo import Mount, parse
from filetap.enrich.host_paths import Mounts

TABLE = b"""\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /proc rw - proc proc rw
40 22 254:0 /srv/data /mnt/data rw - ext4 /dev/vda rw
41 22 254:0 /srv/data/deep/one\\040file /mnt/single\\134file rw - ext4 /dev/vda rw
42 22 8:17 /sub /mnt/partial rw - ext4 /dev/sdb1 rw
"""
ROOT, PARTIAL = 254 << 20, 8 << 20 | 17


def test_mountinfo() -> None:
    assert parse(TABLE)[0] == Mount(ROOT, b"/", b"/")
    assert parse(TABLE)[3] == Mount(ROOT, b"/srv/data/deep/one file", b"/mnt/single\\file")
    assert parse(b"") == []


class Still:
    """A mount table that never changes."""

    def register(self, *_: object) -> None: ...

    def poll(self, _timeout: int) -> list[object]:
        return []


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mounts]:
    path = tmp_path / "mountinfo"
    path.write_bytes(TABLE)
    monkeypatch.setattr(mountinfo, "MOUNTINFO", str(path))
    monkeypatch.setattr("filetap.enrich.host_paths.select.poll", Still)
    made = Mounts()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("device", "inside", "path"),
    [
        (ROOT, b"/etc/hostname", b"/etc/hostname"),
        (ROOT, b"/", b"/"),
        (ROOT, b"/srv/data", b"/mnt/data"),
        (ROOT, b"/srv/data/x", b"/mnt/data/x"),
        (ROOT, b"/srv/database", b"/srv/database"),
        (ROOT, b"/srv/data/deep/one file", b"/mnt/single\\file"),
        (PARTIAL, b"/sub/x", b"/mnt/partial/x"),
        (PARTIAL, b"/other", b""),
        (7, b"/x", b""),
    ],
)
def test_the_mount_whose_root_is_nearest_shows_the_file(table: Mounts, device: int, inside: bytes, path: bytes) -> None:
    assert table.path(device, inside) == path


def test_of_this_machine() -> None:
    """The oracle is stat(2): the answer for / is a directory on the same device."""
    status = os.stat("/")
    device = os.major(status.st_dev) << 20 | os.minor(status.st_dev)
    root = next(mount.root for mount in parse(Path(mountinfo.MOUNTINFO).read_bytes()) if mount.point == b"/")
    ours = Mounts()
    path = ours.path(device, root)
    ours._file.close()
    assert os.path.isdir(path)


@pytest.mark.parametrize(
    ("flags", "plain", "new"),
    [
        (0, True, True),
        (1, True, True),  # MS_RDONLY
        (0x1000, False, True),  # MS_BIND
        (0x2000, False, True),  # MS_MOVE
        (0x1020, True, False),  # MS_REMOUNT | MS_BIND
        (0x44000, True, False),  # MS_PRIVATE | MS_REC
        (0xC0ED1000, False, True),
        (0xC0ED0000, True, True),
    ],
)
def test_which_sources_are_names_by_the_type_alone(flags: int, plain: bool, new: bool) -> None:
    assert (mounts.has_plain_source(flags), mounts.makes_new(flags)) == (plain, new)
