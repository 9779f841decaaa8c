"""``filetap summary`` of a trace: its formats, over time, several traces, and the arguments.

Separate from tests/unit/test_aggregate.py, where the figures are compared with sums calculated by hand. The oracle here
is a program with known operations.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PYTHON, Filetap

ODD = b"odd \xff\x1b"
PROGRAM = """
import os, sys, time
root = os.fsencode(sys.argv[1])
for name, count in ((b"/many", 30), (b"/odd \\xff\\x1b", 7)):
    fd = os.open(root + name, os.O_RDWR | os.O_CREAT)
    for _ in range(count): os.pwrite(fd, b"x" * 10, 0)
    os.close(fd)
time.sleep(1.2)
for _ in range(5):
    try: os.stat(root + b"/none")
    except OSError: pass
"""


@pytest.fixture(scope="module")
def trace(ft: Filetap, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("summary")
    result = ft.trace("-e", "all", "-o", place / "t.tap", "--", PYTHON, "-S", "-E", "-c", PROGRAM, place)
    assert result.status == 0, result.err.decode()
    return place / "t.tap"


def rows(ft: Filetap, *words: str | Path) -> list[dict[str, Any]]:
    result = ft("summary", *words, "--format", "json")
    assert (result.status, result.err) == (0, b"")
    found: list[dict[str, Any]] = json.loads(result.out.decode())
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_what_the_program_did(ft: Filetap, trace: Path) -> None:
    files = {row["path"]: row for row in rows(ft, trace, "--limit", "1000") if not row["others"]}
    many, odd, none = (files[f"{trace.parent}/{name}"] for name in ("many", "odd \ufffd\x1b", "none"))
    assert (many["count"], many["bytes"], many["errors"], none["count"], none["errors"]) == (32, 300, 0, 5, 5)
    assert (odd["count"], odd["bytes"]) == (9, 70)
    assert odd["path_b64"]
    assert many["first"] < many["last"] < none["first"]
    assert 0 < many["p50"] <= many["p90"] <= many["p99"] <= many["max"] <= many["total"]


def test_each_key_has_all_events(ft: Filetap, trace: Path) -> None:
    count = json.loads(ft("query", trace, "SELECT count(*) AS n FROM events", "-f", "json").out)[0]["n"]
    for by in ("file", "directory", "process", "op", "user", "cgroup", "time"):
        assert sum(row["count"] for row in rows(ft, trace, "--by", by, "--limit", "2")) == count
    assert [row["uid"] for row in rows(ft, trace, "--by", "user")] == [os.getuid()]


KEYS = {"file": "exact(path, path_bytes)", "directory": "directory(path)", "process": "pid", "op": "op", "user": "uid", "cgroup": "cgroup"}


@pytest.mark.parametrize("by", KEYS)
def test_the_longest_is_exact(ft: Filetap, trace: Path, by: str) -> None:
    """The same maximum as SQL finds among the single events, group by group."""
    sql = f"SELECT max(duration) AS longest, sum(duration) AS total FROM events GROUP BY {KEYS[by]}"
    events = json.loads(ft("query", trace, sql, "-f", "json").out)
    found = rows(ft, trace, "--by", by, "--limit", "10000", "--sort", "max")
    longest = [row["max"] for row in found]
    assert Counter((row["max"], row["total"]) for row in found) == Counter((row["longest"], row["total"]) for row in events)
    assert longest == sorted(filter(None, longest), reverse=True) + [None] * longest.count(None)
    assert all(row["p50"] <= row["p90"] <= row["p99"] <= row["max"] <= row["total"] for row in found if row["max"])
    (others,) = (row for row in rows(ft, trace, "--by", "file", "--limit", "1") if row["others"])
    assert others["max"] <= others["total"]


def test_the_longest_of_an_interval_is_exact(ft: Filetap, trace: Path) -> None:
    sql = "SELECT max(duration) AS longest FROM events GROUP BY every('500 ms', ts) ORDER BY every('500 ms', ts)"
    events = json.loads(ft("query", trace, sql, "-f", "json").out)
    assert [row["max"] for row in rows(ft, trace, "--by", "time", "--interval", "500ms")] == [row["longest"] for row in events]


def test_over_time(ft: Filetap, trace: Path) -> None:
    found = rows(ft, trace, "--by", "time", "--interval", "500ms")
    starts = [row["time"] for row in found]
    assert starts == sorted(set(starts))
    assert {start[19:] for start in starts} <= {".000000000Z", ".500000000Z"}
    assert all(row["time"] <= row["first"] <= row["last"] for row in found)
    assert all(moment(row["last"]) - moment(row["time"]) < timedelta(seconds=0.5) for row in found)
    (none,) = (row for row in rows(ft, trace, "--limit", "1000") if row["path"] == f"{trace.parent}/none")
    assert sum(row["count"] for row in found if row["last"] >= none["first"]) >= 5, "an interval may end between them"
    assert len(rows(ft, trace, "--by", "time")) <= 41
    assert {row["time"][14:] for row in rows(ft, trace, "--by", "time", "--interval", "1h")} == {"00:00.000000000Z"}
    line = ft("summary", trace, "--by", "time", "--interval", "12345ns").out.decode().splitlines()[1]
    first, _, _, begins = line.split()[-4:]
    assert begins[:12] <= first, "one clock for all columns"


def test_table_and_csv(ft: Filetap, trace: Path) -> None:
    text = ft("summary", trace, "--limit", "1000").out.decode()
    assert text.splitlines()[0].split()[0] == "COUNT"
    assert "odd \\xff\\x1b" in text
    assert "\x1b" not in text
    table = list(csv.DictReader(io.StringIO(ft("summary", trace, "--by", "op", "--format", "csv").out.decode())))
    assert {row["op"]: int(row["count"]) for row in table}["write"] == 37


def test_columns_stand_under_their_heads(ft: Filetap, trace: Path) -> None:
    head, *lines = ft("summary", trace, "--by", "process").out.decode().splitlines()
    assert {line.rindex(f" {line.split()[-2]} ") + len(line.split()[-2]) + 1 for line in lines} == {head.index("PID") + 3}
    assert {line.rindex(" ") for line in lines} == {head.rindex(" ")}
    head, *lines = ft("summary", trace, "--by", "time", "--interval", "1us").out.decode().splitlines()
    assert len(lines) > 10  # so many that one of them has all six decimals, which then all have
    assert {len(line) for line in lines} == {head.index("INTERVAL") + len("2026-01-01 00:00:00.000000+00:00")}


def test_two_traces(ft: Filetap, trace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tap"
    assert ft.trace("-e", "all", "-o", other, "--", "cat", "/etc/hostname").status == 0
    counts = [sum(row["count"] for row in rows(ft, *folders)) for folders in ((trace,), (other,), (trace, other))]
    assert counts[0] + counts[1] == counts[2]


WRONG = (
    ("--interval", "1s"),
    *(("--by", "time", "--interval", text) for text in ("0s", "x", "1m", "0h", f"{'9' * 400}w")),
    ("--by", "nobody"),
    ("--limit", "0"),
)


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_mistakes(ft: Filetap, trace: Path, words: tuple[str, ...]) -> None:
    result = ft("summary", trace, *words)
    assert (result.status, result.out) == (2, b"")
    assert len(result.errors) == 1


def test_a_wrong_unit_of_an_interval_lists_all_units(ft: Filetap, trace: Path) -> None:
    units = "filetap: --interval 1m: give a time such as 10s, 1.5ms or 5min (units: ns, us, ms, s, min, h, d, w; none: seconds)"
    assert ft("summary", trace, "--by", "time", "--interval", "1m").errors == [units]
