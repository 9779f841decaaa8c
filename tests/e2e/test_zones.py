"""Times of all commands in one zone, and printed times used as input of another command; several traces by their names.

The oracle is date(1) in the zone, before and after the program.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.conftest import PYTHON, Filetap

ZONE: Final = {"TZ": "<+0545>-5:45"}
EAST: Final = (5 * 60 + 45) * 60
PROGRAM: Final = "import os, sys, time\nfor n in range(3): os.close(os.open(sys.argv[1] + f'/{n}', os.O_CREAT)); time.sleep(0.05)"
MS: Final = 10**6


class Recorded:
    """A trace, and the two moments (ns) between which all of its events were."""

    def __init__(self, ft: Filetap, place: Path) -> None:
        self.folder, self.before = place / "work.tap", time.time_ns()
        result = ft("record", "-e", "open", "-o", self.folder, place, "--", PYTHON, "-S", "-E", "-c", PROGRAM, place, env=ZONE)
        assert result.status == 0, result.err.decode()
        self.after = time.time_ns()

    def has(self, moment: int, digits: int = 9) -> bool:
        width: int = 10 ** (9 - digits)
        return self.before // width * width <= moment <= self.after


@pytest.fixture(scope="module")
def recorded(ft: Filetap, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(ft, tmp_path_factory.mktemp("zones"))


def of_day(text: str, near: int, east: int) -> int:
    """Return ns since 1970 of a clock time in the zone this far east of Greenwich, on the day of ``near``."""
    hours, minutes, seconds = text.split(":")
    of_the_day = (int(hours) * 60 + int(minutes)) * 60 * 1000 + round(float(seconds) * 1000)
    midnight = (near // 10**9 + east) // 86400 * 86400 - east
    return (midnight * 1000 + of_the_day) * MS


def answer(ft: Filetap, recorded: Recorded, sql: str, *words: str) -> list[list[str]]:
    result = ft("query", recorded.folder, sql, "-f", "csv", *words, env=ZONE)
    assert result.status == 0, result.err.decode()
    return list(csv.reader(io.StringIO(result.out.decode())))[1:]


@pytest.mark.parametrize(("words", "name", "east"), [((), "+05:45", EAST), (("--utc",), "UTC", 0)])
def test_tables_have_one_zone_and_name_it(ft: Filetap, recorded: Recorded, words: tuple[str, ...], name: str, east: int) -> None:
    head, *lines = ft("replay", recorded.folder, *words, env=ZONE).out.decode().splitlines()
    assert head.split()[:2] == ["TIME", name]
    moments = [of_day(line.split()[0], recorded.before, east) for line in lines]
    assert len(moments) == 3
    assert all(recorded.has(moment, 3) for moment in moments)
    head, line = ft("summary", recorded.folder, "--by", "op", *words, env=ZONE).out.decode().splitlines()
    assert head.split()[-5:-1] == ["FIRST", name, "LAST", name]
    assert [of_day(text, recorded.before, east) for text in line.split()[-3:-1]] == [moments[0], moments[-1]]
    assert ft("replay", recorded.folder, "-f", "json", *words, env=ZONE).out == ft("replay", recorded.folder, "-f", "json").out


def test_a_live_table_is_that_of_its_replay(ft: Filetap, tmp_path: Path) -> None:
    for words, name in (((), b"TIME +05:45"), (("--utc",), b"TIME UTC   ")):
        folder = tmp_path / f"{len(words)}.tap"
        live = ft("record", *words, "-f", "table", "-o", folder, "--", "cat", "/etc/hostname", env=ZONE).err.splitlines()
        shown = ft("replay", folder, *words, env=ZONE).out.splitlines()
        assert shown[0].startswith(name)
        assert set(shown) <= set(live)


def test_sql_has_the_same_zone(ft: Filetap, recorded: Recorded) -> None:
    events = [json.loads(line) for line in ft("replay", recorded.folder, "-f", "json").out.splitlines()]
    utc = [event["@timestamp"] for event in events]
    ((text, exact),) = answer(ft, recorded, "SELECT ts, ts_ns FROM events ORDER BY ts_ns LIMIT 1")
    assert text.endswith("+05:45")
    assert recorded.has(int(exact))
    assert utc[0].endswith(f"{exact[-9:]}Z")
    assert answer(ft, recorded, "SELECT ts FROM events ORDER BY ts_ns", "--utc") == [[f"{one[:10]} {one[11:26]}+00"] for one in utc] or (
        [row[0][:19] for row in answer(ft, recorded, "SELECT ts FROM events ORDER BY ts_ns", "--utc")]
        == [f"{one[:10]} {one[11:19]}" for one in utc]
    ), "a fraction ends with its last digit above 0"
    (row,) = json.loads(
        ft("query", recorded.folder, "SELECT ts, ts::TIMESTAMP AS l FROM events ORDER BY ts_ns LIMIT 1", "-f", "json", env=ZONE).out
    )
    assert row["ts"] == f"{utc[0][:26]}Z"
    assert not row["l"].endswith("Z")


def test_sql_compares_with_now_and_with_what_date_prints(ft: Filetap, recorded: Recorded) -> None:
    local = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(recorded.before // 10**9 + EAST))
    late = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(recorded.after // 10**9 + 1 + EAST))
    for condition, count in (
        (f"ts >= '{local}'", 3),
        (f"ts >= '{late}'", 0),
        (f"ts >= '{late}+05:45'", 0),
        ("ts >= now() - INTERVAL 1 DAY", 3),
    ):
        assert answer(ft, recorded, f"SELECT count(*) FROM events WHERE {condition}") == [[str(count)]], condition


def test_printed_times_are_accepted_by_other_commands(ft: Filetap, recorded: Recorded) -> None:
    for words in ((), ("--utc",)):
        lines = ft("replay", recorded.folder, *words, env=ZONE).out.decode().splitlines()
        moment = lines[2].split()[0]
        for command in (("replay",), ("summary", "--limit", "9")):
            shown = ft(command[0], recorded.folder, *command[1:], "--since", moment, "--until", moment, *words, env=ZONE).out.decode()
            assert (shown.count("/1\n"), shown.count("\n")) == (1, 2), shown
        spans = ft("summary", recorded.folder, "--by", "time", "--interval", "1us", *words, env=ZONE).out.decode().splitlines()
        found = re.search(r"\d{4}-\S+ \S+$", spans[2])
        assert found
        other = () if words else ("--utc",)
        for zone in (words, other):
            shown = ft("replay", recorded.folder, "--since", found[0], "--until", found[0], *zone, env=ZONE).out.decode()
            assert (shown.count("/1\n"), shown.count("\n")) == (1, 2), "its zone is in it"
        sql = f"SELECT count(*) FROM events WHERE ts BETWEEN '{found[0]}' AND TIMESTAMPTZ '{found[0]}' + INTERVAL '1 us'"
        assert answer(ft, recorded, sql, *other) == [["1"]]


@pytest.mark.parametrize("words", [("--since", "soon"), ("--until", "25:00"), ("--since", "2030-01-02", "--until", "2030-01-01")])
def test_mistakes(ft: Filetap, recorded: Recorded, words: tuple[str, ...]) -> None:
    for command in ("replay", "summary"):
        result = ft(command, recorded.folder, *words)
        assert (result.status, result.out, len(result.errors)) == (2, b"", 1)


@pytest.fixture(scope="module")
def others(ft: Filetap, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Create two traces whose folders have the same name, and one with another name."""
    place = tmp_path_factory.mktemp("several")
    folders = [place / "x" / "same.tap", place / "y" / "same.tap", place / "cat it.tap"]
    for folder, words in zip(folders, (["true"], ["cat", "/etc/hostname"], ["cat", "/a b"]), strict=True):
        folder.parent.mkdir(exist_ok=True)
        ft("record", "-o", folder, "--", *words)
        assert folder.is_dir()
    return folders


def test_several_traces_have_names(ft: Filetap, others: list[Path]) -> None:
    labels = [str(others[0]), str(others[1]), "cat it"]
    commands = ["true", "cat /etc/hostname", "cat '/a b'"]
    metadata: list[dict[str, Any]] = [json.loads((folder / "trace.json").read_text()) for folder in others]
    rows = json.loads(ft("query", *others, "FROM traces", "-f", "json").out)
    assert [(row["label"], row["command"]) for row in rows] == list(zip(labels, commands, strict=True))
    assert [(row["trace"], row["host"], row["began"]) for row in rows] == [(one["uuid"], one["node"], one["began"]) for one in metadata]
    counts = json.loads(ft("query", *others, "SELECT label, count(*)::INT AS count FROM events GROUP BY 1 ORDER BY 1", "-f", "json").out)
    by_trace = json.loads(ft("summary", *others, "--by", "trace", "-f", "json").out)
    assert sorted((row["label"], row["count"]) for row in by_trace) == [(row["label"], row["count"]) for row in counts]
    assert {row["label"]: (row["command"], row["began"][:26]) for row in by_trace} == {
        label: (command, one["began"][:26]) for label, command, one in zip(labels, commands, metadata, strict=True)
    }
    first, rest = json.loads(ft("summary", *others, "--by", "trace", "--limit", "1", "-f", "json").out)
    assert (first["others"], rest["others"], rest["label"], rest["began"]) == (False, True, None, None)


def test_the_heading_of_several_traces_names_them(ft: Filetap, others: list[Path]) -> None:
    lines = ft("summary", *others, "--by", "op", env=ZONE).out.decode().splitlines()
    assert [line.partition(", on ")[0] for line in lines[:3]] == [
        f"trace {others[0]}: true", f"trace {others[1]}: cat /etc/hostname", "trace cat it: cat '/a b'",
    ]  # fmt: skip
    assert all(re.search(r", since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+05:45$", line) for line in lines[:3])
    assert lines[3].split()[0] == "COUNT"
    assert ft("summary", others[0]).out.split()[0] == b"COUNT", "one needs no name"
    head, *rows = ft("summary", *others, "--by", "trace", env=ZONE).out.decode().splitlines()
    assert head.split()[-4:] == ["TRACE", "HOST", "BEGAN", "COMMAND"]
    assert len(rows) == 3
