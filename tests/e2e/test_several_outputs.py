"""Several -o at once: each gets all events, and none is affected by another that is slow or fails."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import PYTHON, parse, wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Puppet, Result


def recorded(folder: Path) -> int:
    return sum(pq.read_table(path).num_rows for path in (folder / "events").glob("*.parquet"))


def outputs_of(stats: Path) -> dict[str, dict[str, Any]]:
    return {row.pop("name"): row for row in json.loads(stats.read_text())["outputs"]}


def reads(tree: Path, count: int) -> list[str | Path]:
    """Return a command that reads a file so many times."""
    return [PYTHON, "-S", "-E", "-c", f"import os\nfd = os.open({str(tree / 'a')!r}, 0)\nfor _ in range({count}): os.pread(fd, 1, 0)"]


def test_each_gets_all_events(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    """Recordings by their suffix, JSON by the name of the file, and tables."""
    tap, events, table, stats = (tmp_path / name for name in ("t.tap", "e.json", "t.txt", "stats"))
    done = ft.trace("-o", tap, "-o", events, "-o", table, "-o", "-", "--stats", stats, tree, "--", *reads(tree, 500))
    assert done.status == 0
    lines = [json.loads(line) for line in events.read_bytes().splitlines()]
    assert Counter(line["event"]["action"] for line in lines) == {"read": 500, "open": 1}
    assert recorded(tap) == 501
    assert len(table.read_text().splitlines()) == len(done.out.splitlines()) == 502
    assert outputs_of(stats).keys() == {str(tap), str(events), str(table), "standard output"}
    assert {row["written"] for row in outputs_of(stats).values()} == {501}
    assert b"nothing lost: 501 seen = 501 delivered" in done.err
    assert f"{events}: 501 events written".encode() in done.err


def test_a_format_counts_for_all_streams(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    done = ft.trace("-f", "json", "-o", "-", "-o", tmp_path / "e.txt", tree, "--", "cat", tree / "a")
    assert parse(done.out) == parse((tmp_path / "e.txt").read_bytes()) != []


def test_one_that_fails_ends_no_other_one(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    """The status says that something is missing."""
    events, stats = tmp_path / "e.json", tmp_path / "stats"
    done = ft.trace("-o", "/dev/full", "-o", events, "--stats", stats, tree, "--", *reads(tree, 100_000))
    assert (done.status, done.errors) == (
        1,
        ["filetap: cannot write to /dev/full: No space left on device; events already written are kept"],
    )
    assert len(events.read_bytes().splitlines()) == 100_001
    assert outputs_of(stats)["/dev/full"] == {
        "written": 0,
        "dropped": 100_001,
        "spilled": 0,
        "spill": "",
        "failure": "cannot write to /dev/full: No space left on device",
    }
    assert b"nothing lost: 100001 seen = 100001 delivered" in done.err


def test_the_last_one_that_fails_ends_the_run(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    with ft.started("trace", "-o", "/dev/full", "-o", "-", "-p", puppet.pid, tree) as run:
        run.wait_ready()
        run.out.close()
        puppet.touch(tree / "a")
        run.process.wait(60)
        text = run.err.read().decode()
    assert run.process.returncode == 1
    for name, reason in (("/dev/full", "No space left on device"), ("standard output", "Broken pipe")):
        assert f"filetap: cannot write to {name}: {reason}; events already written are kept, the rest are counted as lost" in text


@pytest.fixture
def stuck(tree: Path, tmp_path: Path) -> list[Any]:
    """Return the arguments of a run whose standard output is read late, and that makes 200,000 events."""
    (tmp_path / "program.py").write_text(
        f"import os, sys\nfd = os.open({str(tree / 'a')!r}, 0)\nfor _ in range(200_000): os.pread(fd, 1, 0)\n"
        f"open({str(tmp_path / 'done')!r}, 'w')\nsys.stdin.read()"
    )
    return ["-o", "-", "-f", "json", "--queue-size", "1M", "--stats", tmp_path / "stats", tree / "a"]


def run_stuck(ft: Filetap, words: list[Any], tmp_path: Path) -> tuple[Result, dict[str, dict[str, Any]]]:
    reading, writing = os.pipe()
    with ft.started("trace", *words, "--", PYTHON, "-S", "-E", tmp_path / "program.py", stdin=reading) as run:
        wait_until((tmp_path / "done").exists)
        os.close(writing)
        done = run.end()
    os.close(reading)
    return done, outputs_of(tmp_path / "stats")


def test_a_slow_reader_may_miss_events(ft: Filetap, stuck: list[Any], tmp_path: Path) -> None:
    """The other output has them all, so nothing is lost."""
    tap = tmp_path / "t.tap"
    done, outputs = run_stuck(ft, ["-o", tap, "--when-full", "drop", *stuck], tmp_path)
    assert done.status == 0
    mine = outputs["standard output"]
    assert mine["dropped"] > 0
    assert mine["written"] + mine["dropped"] == recorded(tap) == 200_001
    assert len(parse(done.out)) == mine["written"]
    assert b"nothing lost: 200001 seen = 200001 delivered" in done.err


def test_events_for_a_slow_reader_go_to_a_recording(ft: Filetap, stuck: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done, outputs = run_stuck(ft, ["--when-full", "spill", *stuck], tmp_path)
    assert done.status == 0
    mine = outputs["standard output"]
    assert (mine["dropped"], mine["spill"]) == (0, "standard-output-spilled.tap")
    assert mine["written"] == len(parse(done.out))
    assert mine["written"] + mine["spilled"] == mine["written"] + recorded(tmp_path / mine["spill"]) == 200_001
    assert mine["spilled"] > 0
    assert b"nothing lost: 200001 seen = 200001 delivered" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "a", "-o", "./a"], "-o a is given more than once"),
        (["-o", "a.tap", "-o", "b.tap", "--flight-recorder", "60s"], "--flight-recorder takes one recording"),
        (["--queue-size", "many"], "--queue-size many"),
    ],
)
def test_mistakes(ft: Filetap, words: list[str], message: str) -> None:
    done = ft.trace("--all", *words)
    assert done.status == 2
    assert message in done.err.decode()
    assert done.err.count(b"\n") == 1
