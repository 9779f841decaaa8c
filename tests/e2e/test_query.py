"""``filetap query``: output formats, restrictions, and errors.

Separate from tests/unit/test_sql.py, where SQL itself is tested.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import filetap
from filetap.recording.reader import Trace
from tests.e2e.conftest import ENVIRONMENT, PYTHON, WAIT, Filetap, Puppet, Result, wait_until

NAMED = "SELECT count(*) AS n, count(path) AS named FROM events"
ODD = os.fsdecode(b"na\xffme\n\x1b[31m")


def lines(result: Result) -> list[str]:
    assert result.status == 0, result.err.decode()
    return result.out.decode().splitlines()


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.status == 0, result.err.decode()
    found: list[dict[str, Any]] = json.loads(result.out.decode())
    return found


@pytest.fixture(scope="module")
def trace(ft: Filetap, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record a program that opens a file with an odd name three times, and a missing one."""
    place = tmp_path_factory.mktemp("query")
    (place / ODD).write_bytes(b"12345")
    opens = f"for _ in range(3): os.read(os.open({str(place / ODD)!r}, 0), 99)"
    misses = f"try: os.open({str(place / 'none')!r}, 0)\nexcept OSError: pass"
    folder = place / "t.tap"
    assert ft.trace("-o", folder, "--", PYTHON, "-S", "-E", "-c", f"import os\n{opens}\n{misses}").status == 0
    return folder


READS = (
    "SELECT path, path_bytes, count(*) AS n, sum(bytes) AS bytes FROM events WHERE op = 'read' AND basename(path) LIKE 'na%' GROUP BY ALL"
)


def test_names_of_any_bytes(ft: Filetap, trace: Path) -> None:
    name = os.fsencode(trace.parent / ODD)
    (row,) = rows(ft("query", trace, READS, "--format", "json"))
    assert row == {"path": name.decode(errors="replace"), "path_b64": base64.b64encode(name).decode(), "n": 3, "bytes": 15}
    head, line = lines(ft("query", trace, READS))
    assert head.split() == ["path", "path_bytes", "n", "bytes"]
    assert "na\\ufffdme\\n\\x1b[31m" in line or "na\ufffdme\\n\\x1b[31m" in line
    assert line.split()[-2:] == ["3", "15"]
    assert "\x1b" not in line
    (_, cells) = csv.reader(io.StringIO(ft("query", trace, READS, "--format", "csv").out.decode()))
    assert cells[0] == name.decode(errors="replace")
    assert cells[1].encode().decode("unicode_escape").encode("latin1") == name
    assert cells[2:] == ["3", "15"]
    by_bytes = f"SELECT count(*) AS n FROM events WHERE op = 'read' AND exact(path, path_bytes) = from_hex('{name.hex()}')"
    assert rows(ft("query", trace, by_bytes, "--format", "json")) == [{"n": 3}]


def test_parquet(ft: Filetap, trace: Path, tmp_path: Path) -> None:
    file = tmp_path / "answer.parquet"
    assert lines(ft("query", trace, READS, "--format", "parquet", "-o", file)) == []
    (row,) = pq.read_table(file).to_pylist()
    assert (row["path_bytes"], row["n"]) == (os.fsencode(trace.parent / ODD), 3)
    assert ft("query", trace, READS, "--format", "parquet").out[:4] == b"PAR1"
    assert ft("query", trace, "SELECT 1", "-o", file).errors == [f"filetap: {file} exists: give --force to overwrite it"]
    assert lines(ft("query", trace, "SELECT 1 AS one", "-o", file, "--force")) == []
    assert file.read_text() == "one\n  1\n"
    alike = "SELECT e.path, f.path, 1 AS PATH FROM events e JOIN files f ON f.id = e.file ORDER BY ts LIMIT 1"
    assert lines(ft("query", trace, alike, "-f", "parquet", "-o", file, "--force")) == []
    (row,) = pq.read_table(file).to_pylist()
    first, second, third = row.values()
    assert (first, third) == (second, 1)


def test_json_is_json(ft: Filetap, trace: Path) -> None:
    odd = """SELECT 'nan'::DOUBLE AS a, 1::HUGEINT << 100 AS b, [1, NULL] AS c, NULL AS d, true AS e, 'a"b' AS "f""'g", 1 AS x, 2 AS x,
        make_timestamp_ns(1) AS t, '\\x00'::BLOB AS blob, 1.50::DECIMAL(4, 2) AS m"""
    (row,) = rows(ft("query", trace, odd, "--format", "json"))
    assert row == {"a": None, "b": 1 << 100, "c": [1, None], "d": None, "e": True, "f\"'g": 'a"b', "x": 1, "x_1": 2,
                   "t": "1970-01-01T00:00:00.000000001", "blob_b64": "AA==", "m": 1.5}  # fmt: skip
    assert rows(ft("query", trace, "SELECT 1 WHERE false", "--format", "json")) == []
    within = """SELECT [make_timestamp_ns(1)] AS t, ['nan'::DOUBLE, 1.5] AS a, {'x': '-inf'::FLOAT, 'y': 'NaN'} AS b, 'inf'::TIMESTAMP AS c,
        '-inf'::TIMESTAMPTZ AS d"""
    (row,) = rows(ft("query", trace, within, "--format", "json"))
    assert row == {"t": ["1970-01-01 00:00:00.000000001"], "a": [None, 1.5], "b": {"x": None, "y": "NaN"}, "c": None, "d": None}


def test_csv_quotes_whatever_may_end_a_line(ft: Filetap, trace: Path) -> None:
    query_rows = "SELECT 'a' || chr(13) || 'b' AS x, 'c' || chr(13) || chr(10) AS y, NULL AS z"
    assert ft("query", trace, query_rows, "-f", "csv").out == b'x,y,z\n"a\rb","c\r\n",\n'


@pytest.mark.parametrize("form", ["table", "json", "csv", "parquet"])
def test_a_plan_in_every_form(ft: Filetap, trace: Path, form: str) -> None:
    result = ft("query", trace, "-- how is it done?\nEXPLAIN SELECT count(*) FROM files;", "-f", form)
    assert (result.status, result.err) == (0, b"")
    assert b"plan" in result.out or "╭".encode() in result.out


NO_ANSWER = [
    ("query", "SELEC"),
    ("query", "SELECT error(path) FROM files"),
    ("summary", "--by=time", "--interval=0s"),
    ("replay", "-enobody"),
]


@pytest.mark.parametrize("words", NO_ANSWER)
def test_a_failed_query_leaves_no_file(ft: Filetap, trace: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    command, word, *more = words
    result = ft(command, trace, word, *more, "-o", tmp_path / "answer")
    assert result.status == 2
    assert not os.listdir(tmp_path)
    (tmp_path / "answer").write_text("mine")
    for force in ([], ["--force"]):
        assert ft(command, trace, word, *more, "-o", tmp_path / "answer", *force).status == 2
        assert (tmp_path / "answer").read_text() == "mine"


def test_an_empty_result_replaces_the_file(ft: Filetap, trace: Path, tmp_path: Path) -> None:
    (tmp_path / "answer").write_text("an earlier one")
    assert ft("replay", trace, "-c", "nobody", "-f", "json", "-o", tmp_path / "answer", "--force").status == 0
    assert (tmp_path / "answer").read_text() == ""


def test_a_requested_order_is_kept(ft: Filetap, trace: Path) -> None:
    found = rows(ft("query", trace, "SELECT i FROM range(200000) r(i) ORDER BY hash(i), i", "--format", "json"))
    again = rows(ft("query", trace, "SELECT i, hash(i) AS h FROM range(200000) r(i)", "--format", "json"))
    assert [row["i"] for row in found] == [row["i"] for row in sorted(again, key=lambda row: (row["h"], row["i"]))]


def test_two_traces(ft: Filetap, trace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tap"
    assert ft.trace("-o", other, "--", "cat", "/etc/hostname").status == 0
    query_rows = "SELECT trace, count(*) AS n FROM events GROUP BY 1"
    both, one = rows(ft("query", trace, other, query_rows, "-f", "json")), rows(ft("query", trace, query_rows, "-f", "json"))
    assert len(both) == 2
    assert one[0] in both


def test_while_it_is_written(ft: Filetap, puppet: Puppet, tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "live.tap"
    query_rows = f"SELECT count(*) AS n FROM events WHERE op = 'open' AND path = '{tree / 'a'}'"
    with ft.started("trace", "-o", folder, "-p", puppet.pid) as running:
        running.wait_ready()
        puppet.touch(tree / "a")
        wait_until(lambda: rows(ft("query", folder, query_rows, "-f", "json")) == [{"n": 1}])
        puppet.touch(tree / "a")
        wait_until(lambda: rows(ft("query", folder, query_rows, "-f", "json")) == [{"n": 2}])
        assert lines(ft("summary", folder, "--by", "op"))[0].split()[0] == "COUNT"
        assert running.end(signal.SIGINT).status == 0
    assert rows(ft("query", folder, query_rows, "-f", "json")) == [{"n": 2}]


MISTAKES = {
    "SELEC op": "filetap: invalid query at line 1, column 1, near 'SELEC': ",
    "SELECT op FROM events WHERE nobody": "filetap: invalid query at line 1, column 29, near 'nobody': ",
    "SELECT op,\n  path FROM events\nWHERE nobody(op)": "filetap: invalid query at line 3, column 7, near 'nobody(op)': ",
    os.fsdecode(b"SELECT '\xff'"): "filetap: invalid query at line 1, column 9: it is not UTF-8, give bytes as from_hex('FF')",
    "SELECT \x1b[31m": "filetap: invalid query at line 1, column 12, near 'm': ",
    "SELECT '\x1b[31m'::INT": "filetap: invalid query at line 1, column 15, near '::INT': Could not convert string '\\x1b[31m'",
    "DROP VIEW events": "filetap: a query can only read: DROP is not allowed, give a SELECT",
    "SELECT * FROM read_csv('/etc/passwd')": "filetap: a query can read only its recordings: ",
}


@pytest.mark.parametrize(("sql", "words"), MISTAKES.items())
def test_mistakes(ft: Filetap, trace: Path, sql: str, words: str) -> None:
    result = ft("query", trace, sql)
    assert (result.status, result.out) == (2, b"")
    (line,) = result.err.decode().splitlines()
    assert line.startswith(words)


def bad(trace: Path, tmp_path: Path, how: str) -> Path:
    folder = tmp_path / f"{how}.tap"
    if how != "nothing":
        shutil.copytree(trace, folder)
    if how == "newer":
        text = (folder / "trace.json").read_text()
        (folder / "trace.json").write_text(text.replace('"version": "2.0"', '"version": "99.0"', 1))
    elif how == "none":
        (folder / "trace.json").unlink()
    elif how == "garbage":
        (folder / "trace.json").write_bytes(b"\xff{")
    return folder


WRONG = {"nothing": "there is no such recording", "none": "is not a recording", "newer": "has format version 99.0", "garbage": "is damaged"}


@pytest.mark.parametrize("command", [("query", "SELECT 1"), ("summary",), ("replay",)], ids=str)
@pytest.mark.parametrize("how", WRONG)
def test_files_that_are_no_traces(ft: Filetap, trace: Path, tmp_path: Path, how: str, command: tuple[str, ...]) -> None:
    result = ft(command[0], bad(trace, tmp_path, how), *command[1:])
    assert result.status == 1
    (line,) = result.err.decode().splitlines()
    assert line.startswith("filetap: ")
    assert WRONG[how] in line


@pytest.mark.parametrize("command", [("query", "SELECT count(*) FROM events"), ("summary",), ("replay",)], ids=str)
@pytest.mark.parametrize("how", ["flip", "cut"])
def test_damage_is_named_and_left_out(ft: Filetap, trace: Path, tmp_path: Path, how: str, command: tuple[str, ...]) -> None:
    folder = bad(trace, tmp_path, how)
    (file,) = (folder / "events").glob("*.parquet")
    text = bytearray(file.read_bytes())
    text[len(text) // 3] ^= 16
    file.write_bytes(text if how == "flip" else text[: len(text) // 2])
    result = ft(command[0], folder, *command[1:])
    assert result.status == 0
    (line,) = result.errors
    assert str(file) in line
    assert "damaged" in line
    assert b"Traceback" not in result.err


ANOTHER_USER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture
def reachable(trace: Path) -> Iterator[Path]:
    """Return a copy that all users may read, whatever the umask: only root can enter pytest's own folders."""
    with tempfile.TemporaryDirectory(prefix="filetap-test-", dir="/tmp") as place:
        folder = Path(place) / "t.tap"
        shutil.copytree(trace, folder)
        subprocess.run(["chmod", "-R", "a+rX", place], check=True)
        yield folder


@pytest.mark.parametrize("command", [("query", "SELECT 1"), ("summary",), ("replay",)], ids=str)
def test_a_trace_of_another_user(ft: Filetap, reachable: Path, command: tuple[str, ...]) -> None:
    reachable.chmod(0o700)
    result = ft(command[0], reachable, *command[1:], before=ANOTHER_USER)
    assert result.status == 1
    assert result.err.decode().splitlines() == [f"filetap: {reachable}/trace.json: Permission denied"]


def test_without_a_scratch_folder(ft: Filetap, trace: Path) -> None:
    """No directory is writable, and the trace is read-only."""
    script = """
        for place in /tmp /var/tmp; do mount --bind $place $place; mount -o remount,bind,ro $place; done
        cd /proc; unset TEMP TMP; TMPDIR=/tmp filetap query "$trace" 'SELECT 1'; echo "status $?"
    """
    result = ft.private(script, trace=trace)
    assert result.out == b"status 1\n"
    (line,) = result.err.decode().splitlines()
    assert line.startswith("filetap: cannot create a temporary directory (")
    assert line.endswith("): set TMPDIR")


HIDDEN = ("events/000001.parquet", "events/000001.parquet.crc", "files/000001.parquet", "files", "events", "tasks")


@pytest.mark.parametrize("command", [("query", "SELECT count(*) FROM events"), ("summary",), ("replay",)], ids=str)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_an_unreadable_part_is_named(ft: Filetap, reachable: Path, command: tuple[str, ...], hidden: str) -> None:
    """An empty result would be wrong."""
    (reachable / hidden).chmod(0o600)
    result = ft(command[0], reachable, *command[1:], before=ANOTHER_USER)
    assert result.status == 1
    (line,) = result.err.decode().splitlines()
    assert line.startswith(f"filetap: {reachable}/{hidden.partition('/')[0]}")
    assert line.endswith("Permission denied")


ANSWERS = (("query", "FROM events"), ("query", "FROM events", "--format", "json"), ("summary",), ("replay",), ("replay", "-f", "json"))


@pytest.mark.parametrize("words", ANSWERS, ids=" ".join)
def test_a_reader_that_closes_the_pipe(ft: Filetap, trace: Path, words: tuple[str, ...]) -> None:
    """As head stops after ten lines: no error is printed."""
    command, *rest = words
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stream:
        done = subprocess.run([*ft.command, command, trace, *rest], stdout=stream, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


def test_words_of_the_command_line(ft: Filetap, trace: Path) -> None:
    assert ft("query", "SELECT 1").status == 2
    assert ft("query").status == 2
    assert ft("query", trace, "SELECT 1", "--format", "xml").status == 2
    assert ft("query", trace, trace, "SELECT 1").errors == [f"filetap: {trace} and {trace} are the same recording"]


SLOW = "SELECT count(*) FROM range(100000000) a(i), range(60) b(j) WHERE hash(i + j) % 3 = 0"


@contextmanager
def on_a_terminal(ft: Filetap, *words: object) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    master, slave = pty.openpty()
    command = [*ft.command, *map(str, words)]
    try:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=slave, env=ENVIRONMENT) as process:
            os.close(slave)
            try:
                yield process, master
            finally:
                process.kill()
    finally:
        os.close(master)


def test_a_long_query_shows_how_far_it_is_and_can_be_ended(ft: Filetap, trace: Path) -> None:
    with on_a_terminal(ft, "query", trace, SLOW) as (process, terminal):
        shown = b""
        while b"%" not in shown:
            shown += os.read(terminal, 4096)
        assert b"\r[" in shown
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=WAIT) == 130, os.read(terminal, 4096)


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_query_leaves_nothing(ft: Filetap, trace: Path, tmp_path: Path, number: int, times: int) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    asking = Filetap(("env", f"TMPDIR={scratch}", *ft.command))
    with asking.started("query", trace, SLOW) as run:
        wait_until(lambda: list(scratch.iterdir()))
        time.sleep(0.5)
        for _ in range(times - 1):
            run.process.send_signal(number)
            time.sleep(0.02)
        done = run.end(number)
    assert (done.status, done.out, done.err.strip()) == (128 + number, b"", b"")
    assert not list(scratch.iterdir())


def test_no_bar_for_quick_queries_or_without_a_terminal(ft: Filetap, trace: Path) -> None:
    assert ft("query", trace, "SELECT 1").err == b""


def test_segments_deleted_during_a_query(ft: Filetap, tree: Path, tmp_path: Path, puppet: Puppet) -> None:
    """A recording with a size limit deletes a segment some ten times a second: every query has a result, and every event in it has its
    file. Most queries are without a start of the command, which takes a second: more of them meet a deletion."""
    folder = tmp_path / "live.tap"
    words = ("-e", "write", "-o", folder, "--keep", "512K", "--rotate-size", "64K", tree)
    puppet.do(f"f = os.open({str(tree / 'a')!r}, 1); end = threading.Event()")
    work = "while not end.wait(0.002): [os.pwrite(f, b'x', i * 7919 % 100003) for i in range(50)]"
    puppet.do(f"worker = threading.Thread(target=exec, args=({work!r}, globals())); worker.start()")
    with ft.started("trace", "-p", puppet.pid, *words) as run:
        run.wait_ready()
        for _ in range(2):
            (row,) = rows(ft("query", folder, NAMED, "-f", "json"))
            assert row["n"] == row["named"]
            assert ft("summary", folder).status == 0
        for _ in range(20):
            with filetap.open(folder) as recording:
                (row,) = recording.query(NAMED).to_pylist()
                assert row["n"] == row["named"]
                recording.summary()
        assert run.end(signal.SIGINT).status == 0
    puppet.do("end.set(); worker.join()")
    assert Trace(folder).metadata.dropped
