"""Odd names in the output, of files, commands and arguments: control characters, invalid UTF-8, very long paths.

Separate from test_output_files.py, which is about where the output goes.
"""

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.commands import TIME
from tests.e2e.conftest import ENVIRONMENT

if TYPE_CHECKING:
    from tests.e2e.commands import TIME
from tests.e2e.conftest import Filetap

ODD = {
    "newline": b"two\nlines",
    "return": b"over\rwritten",
    "escape": b"\x1b[2J\x1b]0;title\x07",
    "c1": b"\xc2\x9b31m",
    "bidi": "right\u202eto\u2066left".encode(),
    "invalid": b"caf\xe9 \xff\xfe",
    "half": b"cut \xe2\x82",
    "surrogate": b"\xed\xa0\x80",
    "quotes": b"\"quoted\" 'and' back\\slash",
    "spaces": b" lead and trail ",
    "tab": b"tab\tbed",
    "delete": b"\x7f",
    "longest": b"n" * 255,
    "longest-invalid": b"\xff" * 255,
    "wide": "日本語 é 🎉".encode(),
    "nbsp-separators": "a\u2028b\u2029c\u00a0d".encode(),
}


@pytest.fixture
def odd(tmp_path: Path) -> dict[str, bytes]:
    """Create files of those names, each in a directory of its own."""
    paths = {}
    for kind, name in ODD.items():
        (tmp_path / "odd" / kind).mkdir(parents=True)
        paths[kind] = os.fsencode(tmp_path / "odd" / kind) + b"/" + name
        with open(paths[kind], "wb"):
            pass
    return paths


OPEN_ALL = "import sys\nfor path in sys.argv[1:]: os.close(os.open(os.fsencode(path), os.O_RDONLY))"


def exact(file: dict[str, Any]) -> bytes:
    return base64.b64decode(file["path_b64"]) if "path_b64" in file else str(file["path"]).encode()


def test_odd_names_in_json(ft: Filetap, tmp_path: Path, odd: dict[str, bytes], script: Callable[[str], tuple[str, ...]]) -> None:
    done = ft.trace("-f", "json", "-e", "open", tmp_path / "odd", "--", *script(OPEN_ALL), *map(os.fsdecode, odd.values()))
    files = [e["file"] for e in done.events]
    assert [exact(file) for file in files] == list(odd.values())
    for file, path in zip(files, odd.values(), strict=True):
        assert file["path"] == path.decode("utf-8", "replace")
        assert ("path_b64" in file) == (path.decode("utf-8", "ignore").encode() != path)
        assert file["inode"] == str(os.stat(path).st_ino)


def test_odd_names_of_missing_files(ft: Filetap, tmp_path: Path, odd: dict[str, bytes], script: Callable[[str], tuple[str, ...]]) -> None:
    for path in odd.values():
        os.unlink(path)
    code = OPEN_ALL.replace("os.close", "\n try: os.close") + "\n except OSError: pass"
    done = ft.trace("-f", "json", "--failed", tmp_path / "odd", "--", *script(code), *map(os.fsdecode, odd.values()))
    assert [exact(e["file"]) for e in done.events] == list(odd.values())
    assert {e["error"]["code"] for e in done.events} == {"ENOENT"}


def test_odd_names_cannot_move_the_cursor(
    ft: Filetap, tmp_path: Path, odd: dict[str, bytes], script: Callable[[str], tuple[str, ...]]
) -> None:
    done = ft.trace("-e", "open", tmp_path / "odd", "--", *script(OPEN_ALL), *map(os.fsdecode, odd.values()))
    lines = done.messages.decode().split("\n")
    table = lines[1 : len(ODD) + 1]
    assert all(re.match(TIME + r"\d+ ", line) for line in table)
    assert lines[len(ODD) + 1].startswith("op ")
    assert all(line.isprintable() for line in table)
    assert table[list(ODD).index("longest")].endswith("/" + "n" * 255)
    assert table[list(ODD).index("wide")].endswith("/日本語 é 🎉")
    assert len(set(table)) == len(ODD)


def test_odd_names_of_commands_and_arguments(ft: Filetap, tmp_path: Path) -> None:
    """comm, exe and args are names too."""
    program = os.fsencode(tmp_path) + b"/p\xff\nx"
    with open(program, "wb") as file:
        file.write(Path("/bin/true").read_bytes())
    os.chmod(program, 0o755)
    given: list[str | bytes] = [*ft.command, "trace", "-f", "json", "-e", "exec", "--args", "--", program, b"a\xffb", b"c\nd"]
    done = subprocess.run(given, check=False, capture_output=True, env=ENVIRONMENT)
    (event,) = [json.loads(line) for line in done.stderr.splitlines() if line.startswith(b"{")]
    process = event["process"]
    assert base64.b64decode(process["executable"]["path_b64"]) == program
    assert base64.b64decode(process["name_b64"]) == b"p\xff\nx"
    assert process["name"] == "p\ufffd\nx"
    assert process["args"][-1] == "c\nd"
    given = [*ft.command, "trace", "-e", "exec", "--", program]
    table = subprocess.run(given, check=False, capture_output=True, env=ENVIRONMENT).stderr
    assert len([line for line in table.split(b"\n") if re.match(rb"\d\d:\d\d:\d\d\.", line)]) == 1
    assert re.search(rb"^\d\S+ +\d+ p\\xff\\nx +execve", table, re.MULTILINE)


DEEP = """
os.chdir(sys.argv[1])
directory = os.open(".", os.O_RDONLY)
for _ in range(int(sys.argv[2])):
    os.mkdir("d" * 249, dir_fd=directory)
    directory = os.open("d" * 249, os.O_RDONLY, dir_fd=directory)
os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=directory))
"""


@pytest.mark.parametrize("depth", [15, 16, 20, 60])
def test_paths_near_4096_bytes(ft: Filetap, tmp_path: Path, script: Callable[[str], tuple[str, ...]], depth: int) -> None:
    """Up to PATH_MAX a path is complete; a longer one too, or it is marked as truncated and ends as the full path does."""
    done = ft.trace("-f", "json", "-e", "open", "--", *script(DEEP), tmp_path, str(depth))
    file = next(e for e in done.events if "O_CREAT" in e["io"].get("flags", ()))["file"]
    whole = str(tmp_path) + ("/" + "d" * 249) * depth + "/leaf"
    if len(whole) < 4096 or not file.get("truncated"):
        assert file["path"] == whole
        assert "truncated" not in file
    else:
        assert whole.endswith(file["path"].removeprefix("/..."))
        assert len(file["path"]) > 3000


def test_a_requested_name_of_4095_bytes(ft: Filetap, tree: Path, script: Callable[[str], tuple[str, ...]]) -> None:
    name = "y/" * 2047 + "z"
    code = f"os.chdir({str(tree)!r})\nfor n in ({name!r}, {'x' * 256!r}):\n try: os.open(n, os.O_RDONLY)\n except OSError: pass"
    done = ft.trace("-f", "json", "-e", "open", tree, "--", *script(code))
    first, second = done.events
    assert (first["file"]["path"], first["error"]["code"]) == (f"{tree}/{name}", "ENOENT")
    assert (second["file"]["path"], second["error"]["code"]) == (f"{tree}/{'x' * 256}", "ENAMETOOLONG")
