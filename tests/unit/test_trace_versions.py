"""Traces of older versions are readable: two that were recorded before the format had its present columns.

Separate from test_trace_tables.py, where traces of this version are read. The oracle is the output of the filetap that
recorded them: version1/NAME.ndjson.
"""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import filetap
from filetap.capture.outlet import Outlet
from filetap.capture.recorded_source import play
from filetap.recording import seal, stream
from filetap.recording.format import ADDED, COLUMNS, read_metadata, stored, write_metadata
from filetap.recording.reader import Trace
from filetap.recording.replay import Replay, Wanted
from filetap.recording.tables import RECORDED_SCHEMAS
from filetap.sinks.ndjson import NdjsonSink
from tests.unit.test_trace_writer import batch, killed
from tests.unit.traces import plain, record

OLD = Path(__file__).parent / "version1"
NEW = {
    "files": {"requested", "requested_bytes", "later"},
    "tasks": set(
        "suid egid sgid fsgid groups groups_truncated user_name real_user_name saved_user_name fs_user_name audit_user_name "
        "group_name real_group_name saved_group_name fs_group_name group_names "
        "forker adopted ancestor command_line command_line_bytes args_late".split()
    ),
}
"""The columns that version 1.0 does not have."""
PYTHON = "python3"
"""In both traces the process has the effective user 1234 and group 4321, and the real user root."""


@pytest.fixture(params=["sealed", "killed"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Copy a trace that was closed, and one whose recorder was killed: the reader repairs the latter."""
    return Path(shutil.copytree(OLD / f"{request.param}.tap", tmp_path / f"{request.param}.tap"))


def test_its_lines_are_what_they_were(old: Path, tmp_path: Path) -> None:
    """Except for the user, which is now the effective one, and fields made from the arguments."""
    with open(tmp_path / "lines", "wb", buffering=0) as stream:
        sink = NdjsonSink(stream)
        play(Replay(Trace(old), Wanted()), Outlet(sink))
        sink.finish()
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


def test_it_can_be_queried_as_any_other(old: Path) -> None:
    """Missing columns are null, in SQL as in Arrow."""
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


def test_both_versions_can_be_queried_together(old: Path, tmp_path: Path) -> None:
    new = record(tmp_path / "new.tap", [batch(1)])
    with filetap.open(old, new.folder) as trace:
        (row,) = trace.query("SELECT count(*)::BIGINT AS n, count(groups)::BIGINT AS listed FROM tasks").to_pylist()
        assert row["n"] == 2 + new.table("tasks").num_rows
        assert row["listed"] == new.table("tasks").num_rows
        assert trace.query("SELECT count(*)::BIGINT AS n FROM events").to_pylist() == [{"n": 4 + new.table("events").num_rows}]
        assert trace.tasks.num_rows == row["n"]


def test_the_columns_that_are_new_are_columns() -> None:
    """Those of version 1.1, which are written down here."""
    new = {table: stored(table, (1, 1)).keys() - stored(table, (1, 0)).keys() for table in ADDED}
    assert {table: names for table, names in new.items() if names} == NEW
    assert all(set(COLUMNS[table]) == stored(table, (2, 0)).keys() for table in ADDED)


@pytest.mark.parametrize("state", ["sealed", "killed"])
def test_a_newer_minor_version_is_read(tmp_path: Path, state: str) -> None:
    """Each table has an unknown column. A trace that was not closed is left to the version that knows what to seal."""
    folder = tmp_path / "t.tap"
    killed(folder, 3) if state == "killed" else record(folder, [batch(number) for number in (1, 2, 3)])
    newer(folder)
    before = sorted(folder.rglob("*.arrow"))
    with filetap.open(folder) as trace:
        (row,) = trace.query("SELECT count(*)::BIGINT AS n, count(pid)::BIGINT AS named, count(open_id) AS opened FROM events").to_pylist()
        assert row == {"n": 150, "named": 150, "opened": 0}
        assert (trace.files.num_rows, trace.tasks.num_rows, trace.events.num_rows) == (3, 1, 150)
    assert sorted(folder.rglob("*.arrow")) == before
    assert bool(before) == (state == "killed")
    assert all("a newer filetap recorded it" in note for note in Trace(folder).notes)
    assert len(Trace(folder).notes) == (state == "killed")


def newer(folder: Path) -> None:
    """Write it as a later filetap might."""
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path)
        path.unlink()
        table = table.append_column("newer", pa.array([7] * len(table), pa.int64()))
        seal._parquet(path, iter(table.to_batches()), table.schema, nullcontext)
    for path in folder.rglob("*.arrow"):
        rows = list(stream.read(path, None, []))
        path.unlink()
        path.with_suffix(".crc").unlink()
        writer = stream.StreamWriter(path, RECORDED_SCHEMAS[path.parent.name].append(pa.field("newer", pa.int64())))
        for one in rows:
            writer.write(pa.record_batch([*one.columns, pa.array([7] * len(one), pa.int64())], [*one.schema.names, "newer"]))
        writer.close()
    write_metadata(folder, msgspec.structs.replace(read_metadata(folder), version="2.7"))


def test_renamed_columns_are_found(old: Path) -> None:
    """By its new name, though the files have the old one; this does not change when a killed one is repaired."""
    with filetap.open(old) as trace:
        assert trace.events["open_id"].null_count < trace.events.num_rows
        assert trace.query("SELECT DISTINCT open_id FROM events WHERE op = 'open'").num_rows > 1
    for path in (old / "events").glob("*.parquet"):
        assert {"open", "bits", "word0"} <= set(pq.read_schema(path).names)
    assert not (old / "aggregated").exists()
