"""Which script deletes my file: ancestors in JSON, in the table, in recordings, live and replayed.

Separate from tests/kernel/test_ancestry.py, which sees rows only. The oracle is the scripts' own names and numbers.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from tests.e2e.conftest import PYTHON, Filetap, parse
from tests.e2e.screen import Screen

SHELL: Final = os.path.realpath("/bin/sh")


class Jobs:
    """A script that calls rm and ends, and one that is a program's argument."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "precious"
        self.file.touch()
        self.script = folder / "cleanup job.sh"
        self.script.write_text(f"#!/bin/sh\nrm -f {self.file}\nexit 0\n")
        self.script.chmod(0o755)
        self.janitor = folder / "janitor.py"
        self.janitor.write_text("import os, sys\nos.unlink(sys.argv[1])\n")

    def run(self) -> list[int]:
        """Let each delete the file once; return their numbers."""
        pids = []
        for command in ([str(self.script)], [PYTHON, "-S", "-E", str(self.janitor), str(self.file)]):
            self.file.touch()
            with subprocess.Popen(command) as process:
                pids.append(process.pid)
        return pids


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def watched(ft: Filetap, jobs: Jobs, *options: str) -> tuple[list[dict[str, Any]], list[int]]:
    with ft.started("watch", "-e", "unlink", "-f", "json", *options, jobs.file) as running:
        running.wait_ready()
        pids = jobs.run()
        events = parse(running.end(2).out)
    return [event for event in events if event["event"]["action"] == "unlink"], pids


def test_which_script_deletes_my_file(ft: Filetap, jobs: Jobs) -> None:
    events, (script, janitor) = watched(ft, jobs, "--args")
    by_script, by_janitor = (event["process"] for event in events)
    assert (by_script["name"], by_script["args"]) == ("rm", ["rm", "-f", str(jobs.file)])
    assert by_script["command_line"] == f"rm -f {jobs.file}"
    assert by_script["parent"] == {
        "pid": script,
        "name": "cleanup job.sh",
        "executable": {"path": SHELL},
        "command_line": f"/bin/sh '{jobs.script}'",
    }
    assert (by_janitor["pid"], by_janitor["args"]) == (janitor, [PYTHON, "-S", "-E", str(jobs.janitor), str(jobs.file)])
    assert by_janitor["parent"]["pid"] == os.getpid()
    assert by_janitor["parent"]["name"] == Path("/proc/self/comm").read_text().strip()


def test_without_arguments_the_parent_has_a_name(ft: Filetap, jobs: Jobs) -> None:
    events, (script, _) = watched(ft, jobs)
    assert events[0]["process"]["parent"] == {"pid": script, "name": "cleanup job.sh", "executable": {"path": SHELL}}
    assert not {"args", "command_line", "ancestors"} & events[0]["process"].keys()


def test_ancestors_in_json(ft: Filetap, jobs: Jobs) -> None:
    events, (script, _) = watched(ft, jobs, "--ancestors")
    above = events[0]["process"]["ancestors"]
    assert [process["pid"] for process in above] == [script, *line_of(os.getpid())]
    assert above[0] == events[0]["process"]["parent"]
    assert "ancestors_truncated" not in events[0]["process"]


def line_of(pid: int) -> Iterator[int]:
    """Return a process and its ancestors, from /proc."""
    while pid:
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("option", ["", "--ancestors"])
def test_a_parent_that_has_ended_is_known_with_ancestors(ft: Filetap, jobs: Jobs, option: str) -> None:
    """Without --ancestors the adopting process is reported, and marked as such."""
    orphan = f"(while kill -0 $$ 2>/dev/null; do sleep 0.01; done; exec rm -f {jobs.file}) & :"
    command = ["/bin/sh", "-c", f"/bin/sh -c '{orphan}'; while test -e {jobs.file}; do sleep 0.05; done"]
    done = ft.trace("-e", "unlink", "-f", "json", *[option] * bool(option), jobs.folder, "--", *command)
    (process,) = (event["process"] for event in done.events if event["file"]["path"] == str(jobs.file))
    parent = process["parent"]
    if option:
        assert (parent["name"], "adopted" in parent) == ("sh", False)
        assert [above["name"] for above in process["ancestors"][:3]] == ["sh", "sh", "filetap"]
    else:
        assert parent["adopted"] is True
        assert parent["pid"] not in (done.events[0]["process"]["pid"], process["pid"])
        assert parent["name"] == Path(f"/proc/{parent['pid']}/comm").read_text().strip()


def test_the_table_has_a_column(ft: Filetap, jobs: Jobs) -> None:
    """Nothing of it is cut in a file or a pipe."""
    with ft.started("watch", "-e", "unlink", "--ancestors", jobs.file) as running:
        running.wait_ready()
        script, _ = jobs.run()
        lines = running.end(2).out.decode().splitlines()
    head, first, second = lines
    assert head.split()[-2:] == ["ANCESTORS", "PATH"]
    names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in line_of(os.getpid())]
    above = [f"{name}({pid})" for name, pid in zip(names, line_of(os.getpid()), strict=True)]
    rm = first.split()[1]
    assert links(first) == [*reversed(above), f"cleanup job.sh({script})", f"rm({rm})"]
    assert first.endswith(f" rm({rm}) {jobs.file}")
    assert second.endswith(f") {jobs.file}")


def links(line: str) -> list[str]:
    """Return the links of the chain in a line of the table, between the call's time and the path."""
    chain = re.search(r"(?:ns|us|ms|s|-) (\S.*\)) /", line)
    assert chain
    return re.split(r" ~?> ", chain[1])


def test_on_a_terminal_the_column_leaves_room_for_the_path(ft: Filetap) -> None:
    with TemporaryDirectory() as folder:  # a short path
        jobs = Jobs(Path(folder))
        screen = Screen([*ft.command, "trace", "-e", "unlink", "--ancestors", folder, "--", str(jobs.script)], columns=160)
        try:
            screen.process.wait(60)
            text = screen.text().splitlines()
        finally:
            screen.close()
    (line,) = [line for line in text if str(jobs.file) in line]
    head = next(line for line in text if line.endswith(" PATH"))
    width = (160 - 79) // 2
    assert head.index("PATH") - head.index("ANCESTORS") == width + 1
    chain = line[head.index("ANCESTORS") :][:width]
    assert re.fullmatch(r"\.\.\. > cleanup job\.sh\(\d+\) > rm\(\d+\) *", chain), chain
    assert line[head.index("PATH") :] == str(jobs.file)


def test_the_table_shows_arguments(ft: Filetap, jobs: Jobs) -> None:
    """As a shell takes them."""
    with ft.started("watch", "-e", "unlink", "--args", jobs.file) as running:
        running.wait_ready()
        jobs.run()
        head, first, second = running.end(2).out.decode().splitlines()
    assert head.split()[-2:] == ["ARGS", "PATH"]
    assert first.endswith(f" rm -f {shlex.quote(str(jobs.file))} {jobs.file}")
    assert second.endswith(f" {shlex.join([PYTHON, '-S', '-E', str(jobs.janitor), str(jobs.file)])} {jobs.file}")


def test_a_replay_shows_arguments(ft: Filetap, tmp_path: Path) -> None:
    """Without --args a recording has none, and a dash stands for them."""
    for option, shown in (("--args", "sh -c ': a b'"), ("--latency", "-")):
        trace = tmp_path / f"{option}.tap"
        ft("trace", "-e", "exec", option, "-o", trace, "--", "sh", "-c", "sh -c ': a b'; :")
        head, _, inner = ft("replay", "--args", trace).out.decode().splitlines()
        assert inner[head.index("ARGS") :] == f"{shown} {SHELL}"


def test_a_recording_has_them_all(ft: Filetap, jobs: Jobs, tmp_path: Path) -> None:
    """They are rows that SQL can query; and a replay prints what the run printed."""
    trace = tmp_path / "t.tap"
    words = ("trace", "-e", "unlink", "--args", "--ancestors", "-f", "json", "-o", trace, jobs.folder, "--", jobs.script)
    done = ft(*words)
    live = [line for line in done.err.split(b"\n") if line.startswith(b'{"@timestamp"')]
    assert len(live) == 1
    assert [line for line in ft("replay", trace, "-f", "json", "--ancestors").out.split(b"\n") if line] == live
    columns = "command, args, command_line, parent_pid, ppid, parent_command, parent_exe, parent_command_line, adopted"
    (row,) = query(ft, trace, f"SELECT {columns} FROM events")
    process = json.loads(live[0])["process"]
    assert row == {
        "command": "rm",
        "args": ["rm", "-f", str(jobs.file)],
        "command_line": f"rm -f {jobs.file}",
        "parent_pid": process["parent"]["pid"],
        "ppid": process["parent"]["pid"],
        "parent_command": "cleanup job.sh",
        "parent_exe": SHELL,
        "parent_command_line": f"/bin/sh '{jobs.script}'",
        "adopted": False,
    }
    rows = query(ft, trace, "SELECT pid, command, exe, ancestor FROM tasks")
    assert {row["pid"] for row in rows if row["ancestor"]} == {above["pid"] for above in process["ancestors"]}
    assert [row["pid"] for row in rows if not row["ancestor"]] == [process["pid"]]


def query(ft: Filetap, trace: Path, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(ft("query", trace, sql, "--format", "json").out)
    return rows


def test_a_replay_chooses_by_those_above(ft: Filetap, jobs: Jobs, tmp_path: Path) -> None:
    """``-p`` and ``-c`` include children, whatever was traced."""
    trace = tmp_path / "t.tap"
    with ft.started("watch", "-e", "unlink", "-o", trace, jobs.file) as running:
        running.wait_ready()
        script, janitor = jobs.run()
        running.end(2)
    for words, commands in (
        (("-c", "cleanup job.sh"), ["rm"]),
        (("-p", script), ["rm"]),
        (("-p", script, "--no-children"), []),
        (("-p", janitor), [Path(PYTHON).name[:15]]),
        (("-p", os.getpid()), ["rm", Path(PYTHON).name[:15]]),
    ):
        assert [event["process"]["name"] for event in parse(ft("replay", trace, *words, "-f", "json").out)] == commands
