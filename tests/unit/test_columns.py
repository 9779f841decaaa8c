"""The registry of columns: one declaration, and the column is in JSON, tables, recordings, SQL, replays and documents.

A process of its own declares one, as an edit of the registry would, before anything else is imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from filetap.core import columns

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, json
from filetap.core import columns
new = dict(added=True, since=(2, 1))
columns.COLUMNS.append(columns.Column(name="container", of="task", type="exact", meaning="name of the container", json="container.name",
                                      heading="CONTAINER", view="container", **new))
columns.COLUMNS.append(columns.Column(name="layer", of="file", type="uint32", meaning="of the image", json="file.layer", view="layer",
                                      **new))

import io
from pathlib import Path
import filetap
from docs import generate
from filetap.capture.outlet import Outlet
from filetap.capture.recorded_source import play
from filetap.core.batch import File, Task
from filetap.recording.format import VERSION
from filetap.recording.reader import Trace
from filetap.recording.replay import Replay, Wanted
from filetap.recording.writer import TraceSink
from filetap.sinks.ndjson import NdjsonSink
from filetap.sinks.table import TableSink
from tests.unit.batches import batch_of
from tests.unit.traces import metadata

folder, old = map(Path, sys.argv[1:])
files = [File(1, b"/a", added={"layer": 3}), File(2, b"/b")]
tasks = [Task(1, 7, 7, b"t", b"t", added={"container": b"web\\xff"}), Task(2, 8, 8, b"u", b"u")]
batch = batch_of({"file": 1, "task": 1}, {"file": 2, "task": 2}, files=files, tasks=tasks)
raws = [io.BytesIO() for _ in range(3)]
sinks = [NdjsonSink(raws[0]), TableSink(raws[1]), TraceSink(folder, metadata())]
for sink in sinks:
    sink.write(batch)
    sink.finish()
play(Replay(Trace(folder), Wanted()), Outlet(NdjsonSink(raws[2])))
sql = "SELECT container, container_bytes, layer FROM events ORDER BY pid"
with filetap.open(folder) as trace, filetap.open(old) as older, filetap.open(folder, old) as both:
    answers = [[list(row.values()) for row in one.query(sql).to_pylist()] for one in (trace, older)]
    count = both.query("SELECT count(*)::BIGINT AS n, count(container)::BIGINT AS known FROM events").to_pylist()
page = [row for row in generate.columns_page().splitlines() if "container" in row or "layer" in row]
found = dict(json=raws[0].getvalue().decode(), table=raws[1].getvalue().decode(), replay=raws[2].getvalue().decode(),
             version=VERSION, answers=answers, count=count, page=page, format=generate.format_page())
print(json.dumps(found, default=lambda value: value.decode("latin-1")))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("new") / "t.tap"
    words = [sys.executable, "-c", PROGRAM, str(folder), str(ROOT / "tests" / "unit" / "version1" / "sealed.tap")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_new_column_is_in_json(found: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in found["json"].splitlines()]
    assert [line.get("container") for line in lines] == [{"name": "web\ufffd", "name_b64": "d2Vi/w=="}, None]
    assert [line["file"].get("layer") for line in lines] == [3, None]


def test_and_in_what_a_recording_of_it_replays(found: dict[str, Any]) -> None:
    assert found["replay"] == found["json"]
    assert found["version"] == "2.1"


def test_and_in_the_table(found: dict[str, Any]) -> None:
    heading, first, second = found["table"].splitlines()
    at = heading.index("CONTAINER")
    assert [line[at : at + 16].rstrip() for line in (first, second)] == ["web\\xff", "-"]
    assert heading[at + 16 :] == " PATH"


def test_and_in_sql(found: dict[str, Any]) -> None:
    """Recordings made before have null."""
    new, old = found["answers"]
    assert new == [["web\ufffd", "web\xff", 3], [None, None, None]]
    assert {value for row in old for value in row} == {None}
    assert found["count"] == [{"n": 2 + len(old), "known": 1}]


def test_and_in_the_documents(found: dict[str, Any]) -> None:
    assert "| `container` | name of the container |" in found["page"]
    assert "| `layer` | files | integer |  | `file.layer` | `layer` |  | of the image |" in found["page"]
    assert "| container | string | name of the container |\n| container_bytes | binary |" in found["format"]


def test_the_registry_is_consistent() -> None:
    names = [(column.of, column.name) for column in columns.COLUMNS]
    views = [column.view for column in columns.COLUMNS if column.view]
    fields = [column.json for column in columns.COLUMNS if column.json]
    assert len(set(names)) == len(names)
    assert len(set(views)) == len(views)
    assert len(set(fields)) == len(fields)
    assert {column.type for column in columns.COLUMNS} <= columns.TYPES.keys()
    assert all(column.meaning for column in columns.COLUMNS)


def test_json_fields_are_documented() -> None:
    """Each field, or its last part after a common beginning: ``process.executable.path``, ``.path_b64``."""
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    missing = [
        column.json
        for column in columns.COLUMNS
        if column.json and f"`{column.json}`" not in text and f"`.{column.json.rpartition('.')[2]}`" not in text
    ]
    assert [name for name in missing if not name.endswith((".name", "target_fd", "target_offset", "address"))] == []
