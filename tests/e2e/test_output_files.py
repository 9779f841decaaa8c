"""Where events go and in which form: streams, files, terminals, and a full disk.

Separate from test_options_events.py, which selects the events. The oracles: wc, the file system, a pseudo-terminal.
"""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.commands import READING, TIME, cat
from tests.e2e.conftest import ENVIRONMENT, WAIT, unread, wait_until, waiting

if TYPE_CHECKING:
    from tests.e2e.commands import READING, TIME, cat
from tests.e2e.conftest import Filetap, Puppet, Result

ESCAPE = b"\x1b"
HEADER = b"TIME "


def test_a_commands_events_go_to_standard_error(ft: Filetap, tree: Path) -> None:
    done = ft.trace(*READING, tree, *cat(tree / "a"))
    assert done.out == b"hello world\n"
    assert done.messages.startswith(HEADER)
    assert done.err.count(str(tree / "a").encode()) == 4


def test_other_targets_events_go_to_standard_output(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    with ft.started("trace", "-p", puppet.pid, tree) as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        puppet.end()
        done = run.end()
    assert done.out.startswith(HEADER)
    assert done.out.count(str(tree / "a").encode()) == 2
    assert str(tree).encode() not in done.err
    assert b"nothing lost" in done.err


def test_events_are_seen_while_they_happen(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    with ft.started("trace", "-f", "json", "-p", puppet.pid, tree) as run:
        run.wait_ready()
        began, waited = time.monotonic(), waiting(run.pid) + waiting(os.getpid())
        puppet.touch(tree / "a")
        first = run.out.readline()
        assert time.monotonic() - began - (waiting(run.pid) + waiting(os.getpid()) - waited) < 1
        assert json.loads(first)["event"]["action"] == "open"
        puppet.end()
        run.end()


def test_output_file(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "events.json"
    done = ft.trace("-f", "json", "-o", output, *READING, tree, *cat(tree / "a"))
    assert done.out == b"hello world\n"
    assert b'"@timestamp"' not in done.err
    assert [json.loads(line)["event"]["action"] for line in output.read_bytes().splitlines()] == ["open", "read", "read", "close"]


def test_an_output_file_is_not_overwritten(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "events.json"
    output.write_text("precious")
    done = ft.trace("-f", "json", "-o", output, tree, "--", "touch", tmp_path / "ran")
    assert (done.status, done.err.decode()) == (2, f"filetap: {output} exists: give --force to overwrite it\n")
    assert output.read_text() == "precious"
    assert not (tmp_path / "ran").exists()


def test_a_dangling_link_is_not_written_through(ft: Filetap, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert ft.trace("-f", "json", "-o", tmp_path / "link", "--", "true").status == 2
    assert not (tmp_path / "target").exists()


def test_force_overwrites_all_of_it(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "events.json"
    output.write_text("precious\n" * 10_000)
    assert ft.trace("-f", "json", "-o", output, "--force", *READING, tree, *cat(tree / "a")).status == 0
    assert len([json.loads(line) for line in output.read_bytes().splitlines()]) == 4


def test_a_mistake_leaves_the_forced_file_alone(ft: Filetap, tmp_path: Path) -> None:
    output = tmp_path / "events.json"
    output.write_text("precious")
    assert ft.trace("-o", output, "--force", "-e", "bogus", "--", "true").status == 2
    assert output.read_text() == "precious"


def test_format_none_writes_no_events_but_counts_them(ft: Filetap, tree: Path) -> None:
    done = ft.trace("-f", "none", *READING, tree, *cat(tree / "a"))
    assert str(tree).encode() not in done.err
    assert b"nothing lost: 4 seen = 4 delivered" in done.err


def test_table_is_aligned_and_fits_100_columns(ft: Filetap, tree: Path) -> None:
    done = ft.trace("/etc", tree, *cat(tree / "a", tree / "none", Path("/etc/hostname")))
    lines = done.err.decode().splitlines()
    table = [line for line in lines if line.startswith("TIME") or re.match(TIME, line)]
    at = table[0].index("PATH")
    assert len(table) >= 12
    assert {line[at - 1] for line in table} == {" "}
    assert all(line[at:] == line.split()[-1] for line in table)
    assert at + len("/etc/hostname") <= 100
    assert max(map(len, (line for line in lines if str(tree) not in line))) <= 100


def test_no_colour_codes_where_there_is_no_terminal(ft: Filetap, tree: Path) -> None:
    assert ESCAPE not in ft.trace(tree, *cat(tree / "a")).err


def on_terminal(ft: Filetap, words: tuple[str, ...], **more: str) -> bytes:
    """Return what ``filetap`` writes to a terminal."""
    primary, secondary = pty.openpty()
    with subprocess.Popen([*ft.command, *words], stdin=secondary, stdout=secondary, stderr=secondary, env=ENVIRONMENT | more):
        os.close(secondary)
        written = b""
        while True:
            try:
                written += os.read(primary, 65536)
            except OSError:  # EIO: no process has it open any more
                break
    os.close(primary)
    return written


def test_colours_on_a_terminal(ft: Filetap, tree: Path) -> None:
    words = ("trace", str(tree), *cat(tree / "a"))
    written = on_terminal(ft, words)
    assert written.count(ESCAPE + b"[0m") + written.count(ESCAPE + b"[m") >= 4
    assert set(re.findall(rb"\x1b(.*?[a-zA-Z])", written)) <= {b"[%dm" % n for n in range(108)} | {b"[m"}
    plain = re.sub(rb"\x1b\[\d*m", b"", written).decode()
    assert re.search(rf"openat +\d+ +\d+ +- +- +\S+ {tree}/a\r\n", plain)


def test_no_color_is_heeded(ft: Filetap, tree: Path) -> None:
    assert ESCAPE not in on_terminal(ft, ("trace", str(tree), *cat(tree / "a")), NO_COLOR="1")


def test_json_has_no_colours_on_a_terminal(ft: Filetap, tree: Path) -> None:
    assert ESCAPE not in on_terminal(ft, ("trace", "-f", "json", str(tree), *cat(tree / "a")))


def test_closed_early(ft: Filetap, tree: Path) -> None:
    """``| head -1``: one line, no traceback, and a quick end."""
    reader = 'while :; do : <"$T/a"; done'
    done = ft.shell(f'bash -c {reader!r} & p=$!; filetap trace -f json -p $p "$T" | head -1; echo "${{PIPESTATUS[0]}}"; kill $p', T=tree)
    first, status = done.out.splitlines()
    assert json.loads(first)["file"]["path"] == str(tree / "a")
    assert status == b"1"
    assert len(done.errors) == 1
    assert b"Traceback" not in done.err


def reports_full_output(done: Result) -> bool:
    """Check for one line about a full output, and status 1."""
    assert (done.status, len(done.errors)) == (1, 1)
    assert "No space left on device" in done.errors[0]
    assert b"Traceback" not in done.err
    return True


@pytest.mark.parametrize("words", ["doctor", "doctor --json", "--help", "trace --help", "watch --help"])
def test_full_standard_output(ft: Filetap, words: str) -> None:
    assert reports_full_output(ft.shell(f"filetap {words} >/dev/full"))


def test_full_standard_output_while_tracing(ft: Filetap, tree: Path) -> None:
    reader = 'while sleep 0.05; do : <"$T/a"; done'
    done = ft.shell(f'bash -c {reader!r} & p=$!; filetap trace -f json -p $p "$T" >/dev/full; s=$?; kill $p; exit $s', T=tree)
    assert reports_full_output(done)


@pytest.mark.parametrize("words", ["trace --all --duration 1 -f json /etc", "watch --duration 1 /etc", "doctor", "--help"])
def test_closed_standard_output(ft: Filetap, words: str) -> None:
    done = ft.shell(f"filetap {words} >&-")
    assert b"Traceback" not in done.err
    assert done.status in (0, 1)
    assert len(done.errors) == (words.startswith(("trace", "watch")))


def test_closed_standard_error(ft: Filetap, tmp_path: Path) -> None:
    assert ft.shell(f"filetap trace -f json -- touch {tmp_path}/ran 2>&-").status == 1
    done = ft.shell(f"filetap trace -f json -o {tmp_path}/events.json -- sh -c 'exit 3' 2>&-")
    assert (done.status, done.out) == (3, b"")


@pytest.mark.parametrize("where", ["2>/dev/full", "2> >(:)"])
def test_unreadable_standard_error(ft: Filetap, tmp_path: Path, where: str) -> None:
    """The command still runs, and its status is returned."""
    done = ft.shell(f"filetap trace -f none -- sh -c 'sleep 0.2; echo ran; exit 3' {where}")
    assert (done.status, done.out) == (3, b"ran\n")


FILL = """
mkdir "$T/full"; mount -t tmpfs -o size=80k none "$T/full"
many='kill -STOP $PPID; for i in {1..500}; do : <"$T/a"; done; kill -CONT $PPID; sleep 1; echo done >"$T/done"; exit 3'
filetap trace -f json -o "$T/full/events.json" --stats "$T/account.json" -- bash -c "$many"
echo $?
cp "$T/full/events.json" "$T/kept.json"
"""


def test_full_disk(ft: Filetap, tree: Path) -> None:
    """Delivered events stay as whole lines, the statistics count the rest as lost, and the command is not disturbed."""
    done = ft.private(FILL, T=tree)
    kept = [json.loads(line) for line in (tree / "kept.json").read_bytes().splitlines()]
    total = totals(json.loads((tree / "account.json").read_text()))
    assert 76_000 < (tree / "kept.json").stat().st_size <= 81920
    assert (tree / "kept.json").read_bytes().endswith(b"}\n")
    assert len(kept) == total["delivered"] > 100
    assert total["lost"] == total["seen"] - total["delivered"] - total["aggregated"] > 0
    assert total["seen"] > 1000
    assert done.out == b"1\n"
    assert len([line for line in done.errors if "No space left on device" in line]) == 1
    assert (tree / "done").exists()


def totals(stats: dict[str, Any]) -> dict[str, int]:
    return {name: sum(op[name] for op in stats["ops"].values()) for name in ("seen", "delivered", "aggregated", "lost")}


def test_statistics_that_cannot_be_written(ft: Filetap, tmp_path: Path) -> None:
    done = ft.trace("-f", "none", "--stats", tmp_path / "none" / "x", "--", "true")
    assert done.status in (1, 2)
    assert len(done.errors) == 1
    assert str(tmp_path / "none" / "x") in done.errors[0]


def test_signals_while_the_output_is_not_read(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    """A reader that has stopped reading, such as a pager, must not make filetap unstoppable."""
    with ft.started("trace", "-f", "json", "-p", puppet.pid, tree) as run:
        run.wait_ready()
        puppet.do(f"[os.close(os.open({str(tree / 'a')!r}, os.O_RDONLY)) for _ in range(3000)]")
        wait_until(lambda: unread(run.out) > fcntl.fcntl(run.out, fcntl.F_GETPIPE_SZ) * 3 // 4)
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        run.process.send_signal(signal.SIGTERM)
        try:
            run.process.wait(timeout=WAIT)
        except subprocess.TimeoutExpired:
            pytest.fail("still there after SIGINT and SIGTERM")
