"""filetap trace --summary: the kernel's sums and a stream have the same counts; bad arguments are refused.

Separate from test_options_events.py, because a table at the end is compared. The oracle is the workload's own count,
and the stream.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import PYTHON

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Result

HEAD = "COUNT  ERRORS      BYTES    TIME    P50    P90    P99    MAX "


def table(result: Result) -> tuple[str, dict[str, list[str]]]:
    """Return the head, and each row's cells by name."""
    lines = result.err.decode().splitlines()
    start = next(number for number, line in enumerate(lines) if line.lstrip().startswith(HEAD))
    end = next(number for number in range(start, len(lines)) if lines[number].startswith("op "))
    rows = [line for line in lines[start + 1 : end] if not line.startswith("note:")]
    return lines[start], {line[91:]: line[:90].split() for line in rows}


def reads(tree: Path, times: int) -> tuple[str, ...]:
    code = f"import os\nfor _ in range({times}):\n  f = os.open({str(tree / 'a')!r}, 0); os.read(f, 5); os.close(f)"
    return PYTHON, "-S", "-E", "-c", code


@pytest.mark.parametrize("stream", [(), ("-f", "none"), ("-f", "json")], ids=["kernel", "none", "json"])
def test_counts_are_the_workloads(ft: Filetap, tree: Path, tmp_path: Path, stream: tuple[str, ...]) -> None:
    stats = tmp_path / "account"
    result = ft.trace("--summary", *stream, "--stats", stats, tree, "--", *reads(tree, 300))
    head, rows = table(result)
    assert head.endswith(" PATH")
    assert list(rows) == [str(tree / "a")]
    assert rows[str(tree / "a")][:4] == ["900", "0", "1.5", "KiB"]
    assert len(result.events) == (900 if "json" in stream else 0)
    whole = json.loads(stats.read_text())
    assert whole["aggregated"] == (not stream)
    assert {op: row["seen"] for op, row in whole["ops"].items()} == {"open": 300, "read": 300, "close": 300}
    assert sum(row["aggregated"] if not stream else row["delivered"] for row in whole["ops"].values()) == 900
    assert whole["ops"]["read"]["bytes"] == 1500
    last = result.err.decode().splitlines()[-1]
    assert last == f"nothing lost: 900 seen = 900 {'delivered' if stream else 'aggregated in the kernel'}"


@pytest.mark.parametrize(("by", "name"), [("directory", "{}"), ("op", "read"), ("process", None), ("user", "root:root"), ("cgroup", None)])
def test_by(ft: Filetap, tree: Path, by: str, name: str | None) -> None:
    _, rows = table(ft.trace("--summary", "--by", by, "-e", "read", tree, "--", *reads(tree, 20)))
    assert len(rows) == 1
    assert name is None or list(rows) == [name.format(tree)]
    assert next(iter(rows.values()))[0] == "20"


def test_kernel_and_stream_agree_on_a_whole_program(ft: Filetap, tmp_path: Path) -> None:
    """Import of a module: files and counts, except for what differs from run to run."""
    command = (PYTHON, "-B", "-c", "import json, email.message")
    _, summed = table(ft.trace("--summary", "--limit", 10_000, "--", *command))
    events = ft.trace("-f", "json", "--", *command).events
    reported = Counter(event.get("file", {}).get("path", "(no file)") for event in events)
    assert {name: int(cells[0]) for name, cells in summed.items()} == dict(reported)


@pytest.mark.parametrize("stream", [(), ("-f", "none")], ids=["kernel", "stream"])
def test_the_longest_of_one_call_is_its_time(ft: Filetap, tmp_path: Path, stream: tuple[str, ...]) -> None:
    code = f"import os\nfor n in range(200): os.access('{tmp_path}/none%d' % n, 0)"
    _, found = table(ft.trace("--summary", *stream, "--limit", 1000, "-e", "access", "--", PYTHON, "-S", "-E", "-c", code))
    once = [cells for name, cells in found.items() if name.startswith(f"{tmp_path}/none")]
    assert len(once) == 200
    assert {cells[0] for cells in once} == {"1"}
    assert [cells[-3] for cells in once] == [cells[2] for cells in once], "MAX is TIME"


def test_top_sums_up_the_rest(ft: Filetap, tree: Path) -> None:
    code = f"import os\nfor n in range(10):\n  for _ in range(n + 1): os.access('{tree}/none%d' % n, 0)"
    _, rows = table(ft.trace("--summary", "--limit", 3, "-e", "access", tree, "--", PYTHON, "-S", "-E", "-c", code))
    assert [(name.rpartition("/")[2], cells[:2]) for name, cells in rows.items()] == [
        ("none9", ["10", "10"]),
        ("none8", ["9", "9"]),
        ("none7", ["8", "8"]),
        ("(others)", ["28", "28"]),
    ]


def test_hostile_names(ft: Filetap, tree: Path) -> None:
    evil = tree / "evil\x1b[31m\nname"
    evil.write_bytes(b"x")
    _, rows = table(ft.trace("--summary", "-e", "open", tree, "--", "cat", evil))
    assert list(rows) == [f"{tree}/evil\\x1b[31m\\nname"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--by", "file"), "--by requires --summary"),
        (("--limit", "3"), "--limit requires --summary"),
        (("--summary", "--limit", "0"), "--limit 0: give a number"),
    ],
)
def test_mistakes(ft: Filetap, words: tuple[str, ...], line: str) -> None:
    result = ft.trace(*words, "--", "true")
    assert result.status == 2
    assert len(result.errors) == 1
    assert line in result.errors[0]
