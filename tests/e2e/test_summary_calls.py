"""``filetap summary --by call``: compared with the program's own calls; values that are not measured or summed up; all formats.

Separate from test_summary_trace.py, because calls have columns of their own.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.e2e.conftest import PYTHON, Filetap

PROGRAM = """
import os, sys
fd = os.open(sys.argv[1] + "/(others)", os.O_RDWR | os.O_CREAT)
for _ in range(7): os.pwrite(fd, b"x", 0)
for _ in range(3): os.write(fd, b"x")
os.close(fd)
"""


def recorded(ft: Filetap, place: Path, *options: str) -> Path:
    result = ft("record", *options, "-o", place / "t.tap", place, "--", PYTHON, "-S", "-E", "-c", PROGRAM, place)
    assert result.status == 0, result.err.decode()
    return place / "t.tap"


def test_calls_are_distinguished(ft: Filetap, tmp_path: Path) -> None:
    rows = json.loads(ft("summary", recorded(ft, tmp_path), "--by", "call", "-f", "json").out)
    found = {(row["call"], row["op"]): row["count"] for row in rows}
    assert (found["pwrite64", "write"], found["write", "write"]) == (7, 3)


@pytest.mark.parametrize("words", [("trace", "--summary", "--by", "call", "--", "true"), ("top", "--by", "call", "-b", "-n", "1")])
def test_live_sums_are_by_operation(ft: Filetap, words: tuple[str, ...]) -> None:
    result = ft(*words)
    line = "filetap: --by call is for recordings: live sums are by operation. Give --by op, or record and use filetap summary"
    assert (result.status, result.out, result.errors) == (2, b"", [line])


def test_unmeasured_time_is_empty(ft: Filetap, tmp_path: Path) -> None:
    folder = recorded(ft, tmp_path, "--no-latency")
    head, *lines = ft("summary", folder, "--by", "op").out.decode().splitlines()
    end = head.index(" TIME") + len(" TIME")
    assert {line[:end].split()[-1] for line in lines} == {"-"}
    assert {row["total"] for row in json.loads(ft("summary", folder, "--by", "op", "-f", "json").out)} == {None}
    live = ft.trace("--summary", "--no-latency", "--by", "op", "--", "cat", "/etc/hostname").err.decode()
    assert "0ns" not in live
    assert " - " in live


def test_others_are_marked_and_a_file_of_that_name_is_not(ft: Filetap, tmp_path: Path) -> None:
    folder = recorded(ft, tmp_path)
    (file,) = json.loads(ft("summary", folder, "-f", "json").out)
    assert (file["path"], file["others"]) == (f"{tmp_path}/(others)", False)
    first, rest = json.loads(ft("summary", folder, "--by", "call", "--limit", "1", "-f", "json").out)
    assert (first["call"], first["others"], rest["call"], rest["others"]) == ("pwrite64", False, None, True)
    table = list(csv.DictReader(io.StringIO(ft("summary", folder, "--by", "call", "--limit", "1", "-f", "csv").out.decode())))
    assert [row["others"] for row in table] == ["false", "true"]
