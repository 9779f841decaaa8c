"""Traces of older versions are read: two that filetap recorded before the format had the columns that it has now.

Apart from test_trace_tables.py, where what is written now is read now. The oracle is what the filetap that recorded them
printed: version1/NAME.ndjson.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import filetap
from filetap.recording.format import ADDED, columns_of
from filetap.recording.reader import Trace
from filetap.recording.replay import Replay, Wanted
from filetap.sinks.ndjson import NdjsonSink
from tests.unit.test_trace_writer import batch
from tests.unit.traces import plain, record

OLD = Path(__file__).parent / "version1"
PYTHON = "python3"
"""Of both traces: it acts as user 1234 and group 4321, and is root."""


@pytest.fixture(params=["sealed", "killed"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A trace that was closed, and one whose recorder was killed: a copy, for that one is repaired by whoever opens it."""
    return Path(shutil.copytree(OLD / f"{request.param}.tap", tmp_path / f"{request.param}.tap"))


def test_its_lines_are_what_they_were(old: Path, tmp_path: Path) -> None:
    """But for whose user it is, the effective one now, and what is made of the arguments."""
    with open(tmp_path / "lines", "wb", buffering=0) as stream:
        sink = NdjsonSink(stream)
        Replay(Trace(old), Wanted()).into(sink)
        sink.close()
    now = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    before = [json.loads(line) for line in (OLD / f"{old.stem}.ndjson").read_text().splitlines()]
    assert [without_user(event) for event in now] == [without_user(event) for event in before]
    for event in now:
        process = event["process"]
        assert process["user"] == {"id": 1234 if process["name"] == PYTHON else 0}
        assert (process["real_user"], process["real_group"]) == ({"id": 0}, {"id": 0})
        assert not {"group", "saved_user", "audit_user", "supplemental_groups", "ancestors"} & process.keys()
        assert process["command_line"] == " ".join(process["args"])


def without_user(event: dict[str, Any]) -> dict[str, Any]:
    ours = ("user", "group", "real_user", "real_group")
    return event | {"process": {name: value for name, value in event["process"].items() if name not in (*ours, "command_line")}}


def test_it_is_asked_as_any_other(old: Path) -> None:
    """What it does not have is null, in SQL as in Arrow."""
    with filetap.open(old) as trace:
        assert trace.tasks.num_rows == 2
        assert (trace.pending.num_rows, trace.query("SELECT * FROM pending").num_rows) == (0, 0)
        for name in ADDED["tasks"]:
            assert trace.tasks[name].null_count == 2
        rows = trace.query("SELECT euid, uid, egid, user_name, groups, command FROM events WHERE op = 'open' ORDER BY euid").to_pylist()
        none = {"egid": None, "user_name": None, "groups": None}
        assert rows == [{"euid": 0, "uid": 0, "command": "cat", **none}, {"euid": 1234, "uid": 0, "command": PYTHON, **none}]
        summed = plain(trace.summary(by="user"))
        assert [(row["euid"], row["uid"], row["egid"], row["count"]) for row in summed] == [(0, 0, None, 3), (1234, 0, None, 1)]


def test_both_versions_are_asked_as_one(old: Path, tmp_path: Path) -> None:
    new = record(tmp_path / "new.tap", [batch(1)])
    with filetap.open(old, new.folder) as trace:
        (row,) = trace.query("SELECT count(*)::BIGINT AS n, count(groups)::BIGINT AS listed FROM tasks").to_pylist()
        assert row["n"] == 2 + new.table("tasks").num_rows
        assert row["listed"] == new.table("tasks").num_rows
        assert trace.query("SELECT count(*)::BIGINT AS n FROM events").to_pylist() == [{"n": 4 + new.table("events").num_rows}]
        assert trace.tasks.num_rows == row["n"]


def test_the_columns_that_are_new_are_columns() -> None:
    for table, names in ADDED.items():
        assert names == columns_of(table, 2).keys() - columns_of(table, 1).keys()
