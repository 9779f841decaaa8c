"""SQL over traces: the view against a join done by hand, refused statements, and error messages.

Separate from the command (tests/e2e/test_query.py). The oracle is the tables of the trace as Arrow, row by row.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filetap
from filetap.analysis.query_errors import QueryError
from filetap.analysis.sql import Database, open_traces
from filetap.core import constants
from filetap.core.batch import Batch
from filetap.core.errors import FiletapError
from filetap.recording.reader import Trace
from filetap.recording.retention import Limits
from filetap.recording.sealer import remove
from filetap.recording.writer import TraceSink
from tests.timeouts import wait_for
from tests.unit.batches import BATCHES, batch_of
from tests.unit.test_trace_writer import batch
from tests.unit.traces import metadata, plain, record

SETTINGS = settings(max_examples=15, deadline=None)
FROM_FILE = {name: name for name in "path path_bytes device type filesystem deleted resolved".split()}
FROM_TASK = {
    "pid": "pid", "ppid": "ppid", "command": "command", "command_bytes": "command_bytes", "exe": "exe", "exe_bytes": "exe_bytes",
    **{name: name for name in "uid euid gid egid loginuid groups group_names user_name real_user_name audit_user_name".split()},
    "group_name": "group_name", "real_group_name": "real_group_name", "adopted": "adopted",
    "command_line": "command_line", "command_line_bytes": "command_line_bytes",
    "cgroup": "cgroup_path", "cgroup_bytes": "cgroup_path_bytes", "cgroup_id": "cgroup",
}  # fmt: skip
SAME = "op call tid fd open_id offset size result duration target_fd target_offset address arguments file target task trace node".split()


def joined(trace: Trace) -> list[dict[str, Any]]:
    """The view, joined by hand."""
    tables = {name: plain(trace.table(name)) for name in ("events", "files", "tasks")}
    files, tasks = ({row["id"]: row for row in reversed(tables[name])} for name in ("files", "tasks"))
    return [row_of(event, files, tasks) for event in tables["events"]]


def row_of(event: dict[str, Any], files: dict[int, Any], tasks: dict[int, Any]) -> dict[str, Any]:
    file, target, task = files.get(event["file"], {}), files.get(event["target"], {}), tasks.get(event["task"], {})
    row = {name: event[name] for name in SAME} | {"ts": event["ts"] // 1000, "ts_ns": event["ts"]}
    row |= {name: file.get(source) for name, source in FROM_FILE.items()} | {name: task.get(source) for name, source in FROM_TASK.items()}
    row |= {f"target_{name}": target.get(name) for name in ("path", "path_bytes", "device")}
    row["inode"], row["target_inode"] = file.get("inode") or None, target.get("inode") or None
    parent = tasks.get(task.get("parent"), {})
    for name in "command command_bytes exe exe_bytes command_line command_line_bytes".split():
        row[f"parent_{name}"] = parent.get(name)
    row["parent_pid"] = parent.get("pid", task.get("ppid"))
    row["args"] = None if task.get("args") is None else [readable(one) for one in task["args"]]
    row["error"] = constants.error(event["result"]) if (event["result"] or 0) < 0 else None
    flags = msgspec.json.decode(event["arguments"] or "{}").get("flags")
    row["flags"] = "|".join(flags) or None if flags is not None else None
    moves = event["op"] in "read write sendfile splice tee vmsplice copy_file_range".split()
    row["bytes"] = max(event["result"] or 0, 0) if moves else 0
    return row


def readable(argument: bytes) -> str:
    """Return bytes as text, with invalid UTF-8 escaped."""
    try:
        return argument.decode()
    except UnicodeDecodeError:
        return "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in "\\\"'" else f"\\x{byte:02X}" for byte in argument)


def query_rows(folder: Path, *more: Path, sql: str = "SELECT * FROM events") -> list[dict[str, Any]]:
    with filetap.open(folder, *more) as recording:
        return plain(recording.query(sql))


def ordered(rows: list[dict[str, Any]]) -> list[list[tuple[str, str]]]:
    return sorted(sorted((name, repr(value)) for name, value in row.items()) for row in rows)


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    known = expected[0].keys() if expected else set()
    assert ordered([{name: row[name] for name in known} for row in found]) == ordered(expected)


@SETTINGS
@given(st.lists(BATCHES, max_size=3), st.integers(4, 12))
def test_the_view_is_the_join(batches: list[Batch], rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trace = record(Path(folder, "t.tap"), batches, Limits(rows=rows))
        same(query_rows(trace.folder), joined(trace))


@SETTINGS
@given(BATCHES, BATCHES)
def test_a_trace_that_is_being_written(first: Batch, second: Batch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sink = TraceSink(Path(folder, "t.tap"), metadata(), Limits(rows=3))
        sink.write(first)
        sink.write(second)
        live = Trace(Path(folder, "t.tap"))
        same(query_rows(live.folder), joined(live))
        sink.close()


@SETTINGS
@given(BATCHES, BATCHES)
def test_two_traces_with_the_same_ids(first: Batch, second: Batch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        traces = [record(Path(folder, f"{uuid}.tap"), [batch], uuid=uuid) for uuid, batch in (("u", first), ("other", second))]
        expected = joined(traces[0]) + [row | {"trace": "other"} for row in joined(traces[1])]
        same(query_rows(*(trace.folder for trace in traces)), expected)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    rows = ({"call": 1, "time": number * 10**9, "result": -2, "duration": 1500, "task": 1, "file": 1} for number in range(10))
    return record(tmp_path / "t.tap", [batch_of(*rows)]).folder


@pytest.fixture
def database(small: Path) -> Iterator[Database]:
    opened = Database(open_traces([small]))
    yield opened
    opened.close()


def test_macros(small: Path) -> None:
    (row,) = query_rows(
        small,
        sql="SELECT sum(seconds(duration)) AS s, ms(1500000) AS ms, us(1500) AS us, errno_name(-2) AS e, errno_name(2) AS f, "
        "errno_name(512) AS internal, errno_name(4000) AS nobody, directory('/a/b') AS d, directory('/a') AS root, "
        "directory('pipe:[1]') AS no, basename('/a/b') AS base, exact('x', NULL) AS x, exact('?', '\\xFF'::BLOB) AS y, "
        "count(*) FILTER (ts >= since('2 seconds')) AS last, count(DISTINCT every('5 seconds', ts)) AS fives FROM events",
    )
    assert abs(row.pop("s") - 10 * 1500e-9) < 1e-12
    assert row.pop("fives") in (2, 3)
    assert row == {
        "ms": 1.5, "us": 1.5, "e": "ENOENT", "f": "ENOENT", "internal": "ERESTARTSYS", "nobody": "4000", "d": "/a", "root": "/",
        "no": None, "base": "b", "x": b"x", "y": b"\xff", "last": 3,
    }  # fmt: skip


REFUSED = {
    "CREATE TABLE t (i INT)": "CREATE is not allowed",
    "COPY events TO '/tmp/filetap-no.csv'": "COPY is not allowed",
    "ATTACH '/tmp/filetap-no.db'": "ATTACH is not allowed",
    "INSTALL httpfs": "LOAD is not allowed",
    "LOAD httpfs": "LOAD is not allowed",
    "PRAGMA database_list": "PRAGMA is not allowed",
    "SET threads = 1": "SET is not allowed",
    "RESET threads": "SET is not allowed",
    "DELETE FROM files": "DELETE is not allowed",
    "UPDATE files SET path = ''": "UPDATE is not allowed",
    "DROP VIEW events": "DROP is not allowed",
    "INSERT INTO files (id) VALUES (1)": "INSERT is not allowed",
    "EXPORT DATABASE '/tmp/filetap-no'": "EXPORT is not allowed",
    "CALL pragma_version()": "CALL is not allowed",
    "BEGIN": "TRANSACTION is not allowed",
    "WITH x AS (INSERT INTO trace0.file_names (id) VALUES (1) RETURNING *) SELECT * FROM x": "read-only",
    "EXPLAIN ANALYZE INSERT INTO trace0.file_names (id) VALUES (1)": "read-only",
    "SELECT * FROM read_csv('/etc/passwd')": "can read only its recordings",
    "SELECT * FROM read_text('/etc/passwd')": "can read only its recordings",
    "SELECT * FROM read_blob('/proc/self/environ')": "can read only its recordings",
    "SELECT * FROM glob('/etc/*')": "can read only its recordings",
    "SELECT * FROM '/etc/passwd'": "does not exist",
    "SELECT * FROM read_parquet('/tmp/nobody.parquet')": "can read only its recordings",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '/tmp/filetap-no')": "locked",
    "SELECT 1; SELECT 2": "one statement",
    "": "empty",
    "-- nothing": "empty",
}


def error_of(database: Database, sql: str) -> QueryError:
    """Return the only line of an error."""
    with pytest.raises(QueryError) as reported:
        database.query(sql).table()
    assert "\n" not in str(reported.value)
    return reported.value


@pytest.mark.parametrize(("sql", "words"), REFUSED.items())
def test_refused(database: Database, sql: str, words: str) -> None:
    error = error_of(database, sql)
    assert re.search(words, str(error))
    assert error.status == 2
    assert database.query("SELECT count(*) FROM events").table().num_rows == 1, "the next query works"
    assert not [name for name in os.listdir("/tmp") if name.startswith("filetap-no")]


MISTAKES = {
    "SELEC 1": "line 1, column 1, near 'SELEC'",
    "SELECT nobody FROM events": "line 1, column 8, near 'nobody'",
    "SELECT op,\n  é AS x FROM events": "line 2, column 3, near 'é'",
    "-- é\n\n  SELECT nobody FROM events": "line 3, column 10, near 'nobody'",
    "SELECT * FROM nowhere": "line 1, column 15, near 'nowhere'",
    "SELECT no_function(1)": "line 1, column 8, near 'no_function(1)'",
    "SELECT 'open": "line 1, column 8",
    "SELECT op FROM events WHERE result = 'abc'": "line 1, column 38, near \"'abc'\": Could not convert",
    "SELECT op,\n op::INT FROM events": "line 2, column 4, near '::INT': Could not convert",
    "SELECT ms(op) FROM events": "invalid query: No function matches",
    "SELECT every('soon', ts) FROM events": "invalid query: Could not convert",
    "SELECT error('mine')": "mine",
}


@pytest.mark.parametrize(("sql", "words"), MISTAKES.items())
def test_errors_have_a_position(database: Database, sql: str, words: str) -> None:
    assert words in str(error_of(database, sql))


def test_reading_statements_work(database: Database) -> None:
    for sql in ("FROM events", "VALUES (1)", "DESCRIBE events", "SUMMARIZE files", "SHOW TABLES", "TABLE tasks", "EXPLAIN FROM events",
                "PIVOT events ON op USING count(*)", "WITH a AS (FROM events) FROM a", "SELECT 1;", "SELECT 1 -- one",
                "SELECT 1; -- one; two", "SELECT 'é;' ; /* one */ -- two", "/* how? */ EXPLAIN FROM events"):  # fmt: skip
        answer = database.query(sql)
        assert answer.names
        assert len(list(chain.from_iterable(answer.rows(["c0::VARCHAR"])))) == answer.table().num_rows > 0


@pytest.mark.parametrize("name", ["a b's.tap", "a*[x]?.tap", "é\n.tap", os.fsdecode(b"\xff.tap")])
def test_folders_of_any_name(small: Path, name: str) -> None:
    folder = small.parent / name
    shutil.copytree(small, folder)
    assert query_rows(folder, sql="SELECT count(*) AS n FROM events") == [{"n": 10}]


@pytest.mark.parametrize("when", ["before the first question", "between two"])
def test_segments_that_are_deleted_meanwhile(tmp_path: Path, when: str) -> None:
    folder = tmp_path / "t.tap"
    sink = TraceSink(folder, metadata(options={"keep": "1G"}), Limits(rows=50))
    for number in range(1, 5):
        sink.write(batch(number))
    wait_for(lambda: len(sink.metadata.segments) == 4)
    count = "SELECT count(*) AS n, count(DISTINCT path) AS files FROM events"
    database = Database(open_traces([folder]))
    if when == "between two":
        assert plain(database.query(count).table()) == [{"n": 200, "files": 4}]
    for number in (1, 2):
        remove(folder, number)
    assert plain(database.query(count).table()) == [{"n": 200, "files": 4}]
    with pytest.raises(QueryError, match="can read only its recordings"):
        database.query("SELECT * FROM read_text('/proc/self/fd/0')")
    database.close()
    sink.close()


def test_a_segment_that_comes_and_goes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "t.tap"
    sink = TraceSink(folder, metadata(options={"keep": "1G"}), Limits(rows=50))
    sink.write(batch(1))
    wait_for(lambda: len(sink.metadata.segments) == 1)
    (trace,) = open_traces([folder])
    parts = trace.parts

    def comes(what: str, _done: object) -> None:
        if what == "reading":
            sink.write(batch(2))
            wait_for(lambda: len(sink.metadata.segments) == 2)

    def goes(name: str) -> tuple[list[Path], Iterator[Any]]:
        found = parts(name)
        remove(folder, 2)
        return found

    monkeypatch.setattr(trace, "parts", goes)
    database = Database([trace], comes)
    assert plain(database.query("SELECT count(*) AS n, count(DISTINCT path) AS files FROM events").table()) == [{"n": 50, "files": 1}]
    assert not trace.damages
    database.close()
    sink.close()


def test_one_trace_named_twice(small: Path) -> None:
    with pytest.raises(FiletapError, match="are the same recording"):
        filetap.open(small, small)


def test_damage_is_omitted_and_reported(tmp_path: Path) -> None:
    rows = ({"call": 1, "time": number, "task": 1, "file": 1} for number in range(1000))
    trace = record(tmp_path / "t.tap", [batch_of(*rows)])
    (file,) = trace.sealed("events")
    text = bytearray(file.read_bytes())
    text[200] ^= 4
    file.write_bytes(text)
    with filetap.open(trace.folder) as recording:
        assert plain(recording.query("SELECT count(*) AS n FROM events")) == [{"n": 0}]
        assert "1000 rows skipped" in "".join(recording.damages)


def test_tables_of_a_recording(small: Path) -> None:
    with filetap.open(small) as recording:
        assert [recording.events.num_rows, recording.files.num_rows, recording.tasks.num_rows, recording.aggregated.num_rows] == [
            10,
            1,
            1,
            0,
        ]
        assert recording.metadata[0].uuid == "u"
        assert recording.summary("op").num_rows == 1


@pytest.mark.parametrize(
    "words",
    [
        {"by": "colour"},
        {"sort": "size"},
        {"top": 0},
        {"top": -1},
        {"by": "time", "width": 0},
        {"by": "time", "width": -1},
        {"by": "time", "width": 1 << 63},
        {"width": 1},
    ],
)
def test_a_summary_of_nothing(small: Path, words: dict[str, Any]) -> None:
    with filetap.open(small) as recording, pytest.raises(FiletapError, match=str(list(words.values())[-1])):
        recording.summary(**words)
