"""Several -o at once: each gets all events, and none is affected by another that is slow or fails."""

from __future__ import annotations

import io
import json
import os
import signal
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import PYTHON, disk_of, parse, wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Puppet, Result


def recorded(folder: Path) -> int:
    return sum(pq.read_table(io.BytesIO(path.read_bytes())).num_rows for path in (folder / "events").glob("*.parquet"))


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
    assert not list(tmp_path.glob("*.json*"))
    assert mine["written"] == len(parse(done.out))
    assert mine["written"] + mine["spilled"] == mine["written"] + recorded(tmp_path / mine["spill"]) == 200_001
    assert mine["spilled"] > 0
    assert b"nothing lost: 200001 seen = 200001 delivered" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "a", "-o", "./a"], "-o a and -o ./a are the same file"),
        (["-o", "/dev/fd/1", "-o", "/dev/stdout"], "-o /dev/fd/1 and -o /dev/stdout are the same file"),
        (["-o", "-", "-o", "-"], "-o - and -o - are the same file"),
        (["-o", "a", "--force", "--stats", "a"], "-o a and --stats a are the same file"),
        (["-o", "a.tap", "--stats", "a.tap"], "-o a.tap and --stats a.tap are the same file"),
        (["-o", "a.tap", "-o", "a.tap/x.txt"], "-o a.tap/x.txt is inside -o a.tap"),
        (
            ["-o", "a.json", "-o", "a.json-spilled.tap", "--when-full", "spill"],
            "-o a.json-spilled.tap and the spill of -o a.json are the same file",
        ),
        (["-o", ""], "-o: the name is empty"),
        (["--stats", ""], "--stats: the name is empty"),
        (["-o", "."], ". is a directory: give the name of a file"),
        (["-o", "a", "-f", "none"], "-f none writes no events to -o a: leave one of them out"),
        (["-o", "a.tap", "--when-full", "drop"], "--when-full drop does not apply to recordings, which always have all events"),
        (["--queue-size", "0"], "--queue-size 0: at least 64K, and at most the machine's memory"),
        (["--queue-size", "63K"], "--queue-size 63K: at least 64K"),
        (["--queue-size", "99999999999999T"], "--queue-size 99999999999999T: at least 64K, and at most the machine's memory"),
        (["-o", "a.tap", "-o", "b.tap", "--flight-recorder", "60s"], "--flight-recorder takes one recording"),
        (["--queue-size", "many"], "--queue-size many"),
    ],
)
def test_mistakes(ft: Filetap, words: list[str], message: str, tmp_path: Path) -> None:
    """They are found before anything is traced, and leave nothing behind."""
    done = ft.trace(*words, "--", "touch", "ran", cwd=tmp_path)
    assert done.status == 2
    assert message in done.err.decode()
    assert done.err.count(b"\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_record_makes_one_recording(ft: Filetap, tmp_path: Path) -> None:
    done = ft("record", "-o", "a.tap", "-o", "b.tap", "--", "touch", "ran", cwd=tmp_path)
    assert (done.status, done.err.decode()) == (2, "filetap: record makes one recording: give -o once, or trace with several -o\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("--force -o old -o link", "-o link is the same file as -o old"),
        ("--force -o old --stats link", "--stats link is the same file as -o old"),
        ("--force -o old >old", "-o old is the same file as standard output"),
        ("--force -o old -o - >>link", "-o old is the same file as -o -"),
        ("--force -o old 2>>link", "-o old is the same file as standard error"),
        ("-o - -o /dev/stdout", "-o /dev/stdout is the same file as -o -"),
    ],
)
def test_two_names_of_one_file(ft: Filetap, tmp_path: Path, words: str, names: str) -> None:
    """Each output would overwrite the other's lines."""
    done = ft.shell(f"cd $folder; echo precious >old; ln old link; filetap trace {words} -- touch ran", folder=tmp_path)
    assert done.status == 2
    text = (done.err + (tmp_path / "old").read_bytes()).decode()
    assert f"filetap: {names}: give each output a file of its own\n" in text
    assert not (tmp_path / "ran").exists()


def test_streams_that_are_meant_twice(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    """Statistics may follow events, and events may go where a shell has redirected a stream."""
    script = (
        "cd $folder; filetap trace -f json -o /dev/stdout --stats - $file -- cat $file >out; filetap trace -o /dev/stderr -- true 2>err"
    )
    done = ft.shell(script, folder=tmp_path, file=tree / "a")
    assert done.status == 0
    text = (tmp_path / "out").read_text()
    assert len(parse(text.split('{\n  "ops"')[0].encode())) == 5
    assert sum(op["seen"] for op in json.loads(text[text.index('{\n  "ops"') :])["ops"].values()) == 5
    assert "nothing lost" in (tmp_path / "err").read_text()


def test_a_spill_that_fails_ends_no_output(ft: Filetap, stuck: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its recording is on a disk that is full; the other output has all events."""
    with disk_of("1M", tmp_path) as disk:
        monkeypatch.chdir(disk)
        done, outputs = run_stuck(ft, ["-o", tmp_path / "t.tap", "--when-full", "spill", *stuck], tmp_path)
        spilled = len(parse(ft("replay", "-f", "json", disk / "standard-output-spilled.tap").out))
        monkeypatch.chdir(tmp_path)
    assert done.status == 1
    mine = outputs["standard output"]
    assert mine["failure"] == "cannot write to standard-output-spilled.tap: No space left on device"
    assert mine["written"] == len(parse(done.out))
    assert (mine["spilled"], mine["dropped"] > 0) == (spilled, True)
    assert mine["written"] + mine["spilled"] + mine["dropped"] == recorded(tmp_path / "t.tap") == 200_001
    assert b"nothing lost: 200001 seen = 200001 delivered" in done.err


def test_outputs_of_one_stem_spill_to_recordings_of_their_own(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    """What is not needed is removed at the end."""
    words: list[Any] = ["--when-full", "spill", "-o", "z.json", "-o", "z.txt", tree / "a", "--", "ls", tmp_path, tree / "a"]
    done = ft.trace(*words, cwd=tmp_path)
    assert done.status == 0
    assert {b"z.json-spilled.tap", b"z.txt-spilled.tap"} <= set(done.out.split())
    assert {path.name for path in tmp_path.iterdir()} == {"z.json", "z.txt", *(tree.name,) * (tree.parent == tmp_path)}


def test_counts_go_on_after_the_last_output_has_failed(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    stats, full = tmp_path / "stats", tmp_path / "full"
    os.mknod(full, 0o666 | stat.S_IFCHR, os.stat("/dev/full").st_rdev)
    done = ft.trace("-o", "/dev/full", "-o", full, "--stats", stats, tree, "--", *reads(tree, 50_000))
    assert done.status == 1
    seen = sum(op["seen"] for op in json.loads(stats.read_text())["ops"].values())
    assert {row["dropped"] for row in outputs_of(stats).values()} == {seen}


def test_a_flight_recorder_reports_what_it_keeps(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    tap, stats = tmp_path / "f.tap", tmp_path / "stats"
    words: list[Any] = ["--flight-recorder", "60s", "--flight-memory", "1M", "-o", tap, "-o", tmp_path / "e.json", "--stats", stats]
    done = ft.trace(*words, tree, "--", *reads(tree, 20_000))
    assert done.status == 0
    mine = outputs_of(stats)[str(tap)]
    assert 0 < mine["written"] == recorded(tap) < 20_001
    assert mine["written"] + mine["dropped"] == outputs_of(stats)[str(tmp_path / "e.json")]["written"] == 20_001


def test_names_are_shown_readably(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    done = ft.trace("-o", tmp_path / "x\x1b[31m.json", "-o", tmp_path / "y", tree, "--", "cat", tree / "a")
    assert b"\x1b" not in done.err
    assert b"x\\x1b[31m.json: 5 events written" in done.err


STRANGE = ["bad\udcff", "red\x1b[31m"]


@pytest.mark.parametrize("name", STRANGE, ids=["not UTF-8", "escape"])
def test_names_of_any_bytes(ft: Filetap, tree: Path, tmp_path: Path, cgroup: Path, name: str) -> None:
    """Of outputs, spills and cgroups: in recordings and statistics they are readable text."""
    tap, stats = tmp_path / f"{name}.tap", tmp_path / "stats"
    named = cgroup / name
    named.mkdir()
    words: list[Any] = [
        "-o",
        tap,
        "-o",
        tmp_path / f"{name}.json",
        "--when-full",
        "spill",
        "--cgroup",
        named,
        "--stats",
        stats,
        "--no-wait",
    ]
    done = ft.trace(*words, tree, "--", "sh", "-c", f'rmdir "$0"; cat {tree / "a"}', named)
    assert done.status == 0
    shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace").replace("\x1b", "\\x1b")
    found = json.loads(stats.read_text())
    assert [Path(row["name"]).name for row in found["outputs"]] == [f"{shown}.tap", f"{shown}.json"]
    assert any(f"/{shown} was removed at" in note for note in found["notes"])
    assert b"\x1b" not in done.err
    assert json.loads((tap / "trace.json").read_bytes())["notes"] == found["notes"]
    assert recorded(tap) == 5


@pytest.mark.parametrize("name", [*STRANGE, "it's $HOME"], ids=["not UTF-8", "escape", "quotes"])
def test_what_is_printed_to_analyze_it_can_be_pasted(ft: Filetap, tree: Path, tmp_path: Path, name: str) -> None:
    done = ft("record", "-o", tmp_path / f"{name}.tap", tree, "--", "cat", tree / "a")
    (line,) = [line for line in done.err.decode().splitlines() if line.startswith("  filetap summary ")]
    assert line.isprintable()
    assert ft.shell(line).status == 0


def test_a_recording_of_before_gets_no_other_file(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    assert ft("record", "-o", tmp_path / "old.tap", tree, "--", "true").status == 0
    done = ft.trace("-o", tmp_path / "old.tap" / "events" / "x.json", tree, "--", "true")
    text = f"-o {tmp_path}/old.tap/events/x.json is inside the recording {tmp_path}/old.tap"
    assert (done.status, done.err.decode()) == (2, f"filetap: {text}\n")


@pytest.mark.parametrize("when_full", ["drop", "spill"])
def test_counts_of_the_only_output_after_it_failed(
    ft: Filetap, tree: Path, tmp_path: Path, when_full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event counts once, also those of the batch that failed."""
    monkeypatch.chdir(tmp_path)
    stats = tmp_path / "stats"
    done = ft.trace("-o", "/dev/full", "-f", "json", "--when-full", when_full, "--stats", stats, tree, "--", *reads(tree, 200_000))
    assert done.status == 1
    mine = outputs_of(stats)["/dev/full"]
    seen = sum(op["seen"] for op in json.loads(stats.read_text())["ops"].values())
    assert mine["written"] + mine["dropped"] + mine["spilled"] == seen


def test_a_command_that_cannot_be_executed_leaves_no_output(ft: Filetap, tmp_path: Path) -> None:
    """Nor does it touch an old one."""
    (tmp_path / "old").write_text("precious")
    (tmp_path / "plain").touch(0o644)
    for command, status in (("./missing", 127), ("./plain", 126), ("./", 126)):
        done = ft.trace("--force", "-o", "old", "-o", "new.tap", "--", command, cwd=tmp_path)
        assert (done.status, len(done.err.splitlines())) == (status, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"old", "plain"}
    assert (tmp_path / "old").read_text() == "precious"


def test_a_fifo_is_waited_for(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with ft.started("trace", "-f", "json", "-o", tmp_path / "fifo", tree, "--", "cat", tree / "a") as run:
        text = (tmp_path / "fifo").read_bytes()
        assert run.end().status == 0
    assert len(parse(text)) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_waiting_for_a_fifo_can_be_ended(ft: Filetap, tmp_path: Path, number: int) -> None:
    os.mkfifo(tmp_path / "fifo")
    with ft.started("trace", "-o", tmp_path / "fifo", "--", "touch", tmp_path / "ran") as run:
        wait_until(lambda: bool(Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text()))
        done = run.end(number)
    waiting = f"filetap: waiting for a reader of {tmp_path / 'fifo'}\n" if b"waiting for a reader" in done.err else ""
    assert (done.status, done.err.decode()) == (128 + number, f"{waiting}filetap: {tmp_path / 'fifo'}: nothing reads it\n")
    assert not (tmp_path / "ran").exists()


def test_a_lost_terminal_ends_the_run_with_its_statistics(ft: Filetap, puppet: Puppet, tree: Path, tmp_path: Path) -> None:
    with ft.started("trace", "-f", "json", "-o", tmp_path / "e.json", "-p", puppet.pid, tree) as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        done = run.end(signal.SIGHUP)
    assert b"nothing lost: 2 seen = 2 delivered" in done.err
    assert len(parse((tmp_path / "e.json").read_bytes())) == 2
