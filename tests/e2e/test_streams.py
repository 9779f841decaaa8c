"""``-o`` with devices, FIFOs and the standard streams needs no --force, as with strace -o.

Separate from test_output_files.py, which is about files.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import ENVIRONMENT, WAIT, Filetap

CAT = ("--", "cat", "/etc/hostname")


@pytest.fixture(scope="module")
def recorded(ft: Filetap, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams") / "t.tap"
    assert ft("record", "-o", folder, *CAT).status == 0
    return folder


def test_null_needs_no_force(ft: Filetap, recorded: Path) -> None:
    for words in (("trace", "-o", "/dev/null", *CAT), ("replay", recorded, "-o", "/dev/null"), ("summary", recorded, "-o", "/dev/null")):
        result = ft(*words)
        assert (result.status, result.errors) == (0, [])
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode), "it is still there"


def test_a_link_to_null_stays(ft: Filetap, recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    assert ft("replay", recorded, "-o", tmp_path / "link").status == 0
    assert (tmp_path / "link").is_symlink()


def test_a_fifo_gets_the_events(ft: Filetap, recorded: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        result = ft("replay", recorded, "-f", "json", "-o", fifo)
        out, _ = reader.communicate(timeout=WAIT)
    assert (result.status, result.errors) == (0, [])
    assert sorted(out.splitlines()) == sorted(ft("replay", recorded, "-f", "json").out.splitlines())
    assert stat.S_ISFIFO(os.stat(fifo).st_mode)


@pytest.mark.parametrize("name", ["/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"])
def test_standard_error_is_a_file_with_contents(ft: Filetap, recorded: Path, tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    with open(log, "wb") as file:
        file.write(b"before\n")
        file.flush()
        words = [*ft.command, "replay", str(recorded), "-f", "json", "-o", name]
        assert subprocess.run(words, stderr=file, env=ENVIRONMENT, timeout=WAIT, check=False).returncode == 0
    first, *lines = log.read_bytes().splitlines()
    assert first == b"before"
    assert sorted(lines) == sorted(ft("replay", recorded, "-f", "json").out.splitlines())


def test_standard_output_is_a_socket(ft: Filetap, recorded: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        words = [*ft.command, "summary", str(recorded), "-f", "json", "-o", "/dev/stdout"]
        assert subprocess.run(words, stdout=theirs.fileno(), env=ENVIRONMENT, timeout=WAIT, check=False).returncode == 0
        theirs.close()
        with ours.makefile("rb") as stream:
            assert json.loads(stream.read())


def test_a_file_still_needs_force(ft: Filetap, recorded: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    result = ft("replay", recorded, "-o", file)
    assert (result.status, result.errors) == (2, [f"filetap: {file} exists: give --force to overwrite it"])
    assert file.read_text() == "mine"
