"""``filetap replay``: the lines that the live run printed, and the filters.

Separate from test_query.py. The oracle is the NDJSON that was written during the recording.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PYTHON, Filetap, Result, path_of

PROGRAM = """
import os, sys, subprocess, threading
root = sys.argv[1]
odd = os.fsencode(root) + b"/\\xff name"
with open(odd, "wb") as f: f.write(b"12345")
os.rename(odd, root + "/new")
for name in ("none", "new"):
    try: os.close(os.open(f"{root}/{name}", os.O_RDONLY))
    except OSError: pass
reader = threading.Thread(target=lambda: open(root + "/new").read())
reader.start(); reader.join()
subprocess.run(["cp", root + "/new", root + "/copy"], check=True)
os.unlink(root + "/new")
"""


class Recorded:
    """A trace, and what the live run printed."""

    def __init__(self, folder: Path, result: Result, place: Path) -> None:
        self.folder, self.place = folder, place
        self.lines = [line for line in result.err.split(b"\n") if line.startswith(b"{")]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture(scope="module")
def recorded(ft: Filetap, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    place = tmp_path_factory.mktemp("replay")
    folder = place / "t.tap"
    result = ft.trace("-e", "all", "-f", "json", "-o", folder, "--", PYTHON, "-S", "-E", "-c", PROGRAM, place)
    assert result.status == 0, result.err[-2000:]
    return Recorded(folder, result, place)


def replayed(ft: Filetap, recorded: Recorded, *words: object) -> list[bytes]:
    result = ft("replay", recorded.folder, "-f", "json", *map(str, words))
    assert (result.status, result.err) == (0, b"")
    return [line for line in result.out.split(b"\n") if line]


def test_the_lines_of_the_live_run(ft: Filetap, recorded: Recorded) -> None:
    assert len(recorded.lines) > 100
    assert sorted(replayed(ft, recorded)) == sorted(recorded.lines)


def test_the_order_of_each_thread(ft: Filetap, recorded: Recorded) -> None:
    def threads(lines: list[bytes]) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        for line in lines:
            found.setdefault(json.loads(line)["thread"]["id"], []).append(line)
        return found

    assert threads(replayed(ft, recorded)) == threads(recorded.lines)


def test_the_table_of_the_live_run(ft: Filetap, tmp_path: Path) -> None:
    live = ft.trace("-f", "table", "-o", tmp_path / "t.tap", "--", "cat", "/etc/hostname")
    shown = ft("replay", tmp_path / "t.tap").out.splitlines()
    assert len(shown) > 5
    assert set(shown) <= set(live.err.splitlines())


def below(event: dict[str, Any], place: Path) -> bool:
    paths = [path_of(event), str(event.get("file", {}).get("target", {}).get("path", ""))]
    return any(path == str(place) or path.startswith(f"{place}/") for path in paths)


def family(events: list[dict[str, Any]], name: str) -> set[int]:
    return {event["process"]["pid"] for event in events if event["process"]["name"] == name}


FILTERS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], bool]]] = {
    "op": (("-e", "open"), lambda event: event["event"]["action"] == "open"),
    "call": (
        ("-e", "openat", "-e", "rename"),
        lambda event: event["event"].get("call") in ("openat", "rename"),
    ),
    "failed": (("--failed",), lambda event: "error" in event),
    "latency": (("--min-latency", "5us"), lambda event: event["event"].get("duration", 0) >= 5000),
    "command": (("-c", "cp"), lambda event: event["process"]["name"] == "cp"),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters(ft: Filetap, recorded: Recorded, name: str) -> None:
    words, wanted = FILTERS[name]
    expected = [event for event in recorded.events if wanted(event)]
    found = [json.loads(line) for line in replayed(ft, recorded, *words)]
    assert expected
    assert sorted(map(repr, found)) == sorted(map(repr, expected))


def test_paths(ft: Filetap, recorded: Recorded) -> None:
    place = recorded.place
    expected = [event for event in recorded.events if below(event, place)]
    found = [json.loads(line) for line in replayed(ft, recorded, place)]
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    without = [json.loads(line) for line in replayed(ft, recorded, place, "--exclude", place / "copy")]
    assert {path_of(event) for event in expected} - {path_of(event) for event in without} == {str(place / "copy")}
    children = [json.loads(line) for line in replayed(ft, recorded, "/", "--no-recursive")]
    assert {os.path.dirname(path_of(event)) for event in children} <= {"/"}
    renamed = [json.loads(line)["event"]["action"] for line in replayed(ft, recorded, place / "new")]
    assert "rename" in renamed


def test_children(ft: Filetap, recorded: Recorded) -> None:
    (first,) = {event["process"]["pid"] for event in recorded.events if event["process"]["name"].startswith("python")} - {
        event["process"]["pid"] for event in recorded.events if event["event"]["action"] == "exec" and event["process"]["name"] == "cp"
    }
    with_children = [json.loads(line)["process"]["pid"] for line in replayed(ft, recorded, "-p", first)]
    alone = [json.loads(line)["process"]["pid"] for line in replayed(ft, recorded, "-p", first, "--no-children")]
    assert set(alone) == {first}
    assert set(with_children) == {event["process"]["pid"] for event in recorded.events}


def test_where_it_goes(ft: Filetap, recorded: Recorded, tmp_path: Path) -> None:
    file = tmp_path / "lines.json"
    assert ft("replay", recorded.folder, "-f", "json", "-o", file).out == b""
    assert sorted(file.read_bytes().splitlines()) == sorted(recorded.lines)
    assert ft("replay", recorded.folder, "-o", file).status == 2
    assert ft("replay", recorded.folder, "-f", "none").errors == [f"filetap: {len(recorded.lines)} events"]


def test_options_that_a_recording_does_not_support(ft: Filetap, recorded: Recorded) -> None:
    for words in (("--follow",), ("-e", "nobody"), ("--min-latency", "x")):
        result = ft("replay", recorded.folder, *words)
        assert result.status == 2
        assert len(result.errors) == 1
