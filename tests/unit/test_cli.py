"""The command line without a kernel: errors are found before anything is forked, loaded or written.

Separate from tests/e2e, where the installed command runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import pytest

from filetap.cli import main as command_line
from filetap.cli import run as running
from filetap.cli.arguments import Arguments, options_of
from filetap.cli.options import OLD_NAMES
from filetap.cli.trace import trace
from filetap.cli.watch import watch
from filetap.core.calls import CALLS
from filetap.core.errors import FiletapError, KernelError, UsageError

ROTATED: Final = {"rotate_size": "64M", "rotate_time": "1h", "keep": "7d"}
FLIGHT: Final = {"flight_recorder": "60s", "flight_memory": "1G"}
PLAIN: dict[str, Any] = {"command": [], "everything": True}
"""``filetap trace --all``."""


def arguments(**given: Any) -> Arguments:
    return Arguments(**(PLAIN | given))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Return the exit status of a command line."""
    monkeypatch.setattr(sys, "argv", ["filetap", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[Arguments]:
    """Return the options that a command line gives; nothing is forked or run."""
    seen: list[Arguments] = []

    class NoRun:
        def __init__(self, given: Arguments, *_: object, **__: object) -> None:
            seen.append(given)

        def to_the_end(self) -> int:
            return 42

    class NoCommand:
        pid = 0

        def __init__(self, *_: object) -> None: ...

        def abandon(self) -> None: ...

    monkeypatch.setattr(running, "Run", NoRun)
    monkeypatch.setattr(running, "Command", NoCommand)
    monkeypatch.setattr(running, "_sandbox_of", lambda *_: None)
    monkeypatch.setattr(running, "find_user", lambda name: name)
    return seen


@pytest.fixture
def descriptor_99() -> Iterator[None]:
    """Open descriptor 99 for writing."""
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 99)
    yield
    os.close(99)


SPLITS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "paths-and-command": (["/a", "/b", "--", "cat", "/c"], ["/a", "/b"], ["cat", "/c"]),
    "options-behind-are-the-commands": (["--", "ls", "-l", "--all", "-e", "x"], [], ["ls", "-l", "--all", "-e", "x"]),
    "only-the-first-dashes-count": (["--", "sh", "--", "--"], [], ["sh", "--", "--"]),
    "options-between-paths": (["/a", "--all", "/b"], ["/a", "/b"], []),
    "no-command": (["--all"], [], []),
}


@pytest.mark.parametrize("case", SPLITS)
def test_paths_stand_before_the_dashes_and_the_command_behind(
    monkeypatch: pytest.MonkeyPatch, captured: list[Arguments], case: str
) -> None:
    given, paths, command = SPLITS[case]
    assert run(monkeypatch, "trace", *given) == 42
    assert (list(captured[0].paths), captured[0].command) == (paths, command)


OPTIONS: dict[str, dict[str, Any]] = {
    "-p 1,3 --pid 2": {"pids": (1, 3, 2)},
    "-c a --command b": {"comms": ("a", "b")},
    "--cgroup x --cgroup y": {"cgroups": ("x", "y")},
    "--no-children": {"no_children": True},
    "-e read,write --event io": {"events": ("read", "write", "io")},
    "--exclude q --exclude r": {"exclude": ("q", "r")},
    "--no-recursive": {"recursive": False},
    "--follow path": {"follow": True, "paths": ("path",)},
    "--host-paths": {"host_paths": True},
    "--type pipe,socket --type all": {"types": ("pipe", "socket", "all")},
    "--failed": {"failed": True},
    "--min-latency 1ms": {"min_latency": "1ms"},
    "-f json": {"form": "json"},
    "-o x.tap --rotate-size 64M --rotate-time 1h --keep 7d": {"outputs": ("x.tap",), **ROTATED},
    "-o x.tap --flight-recorder 60s --flight-memory 1G": {"outputs": ("x.tap",), **FLIGHT},
    "--format none": {"form": "none"},
    "-o out --force": {"outputs": ("out",), "force": True},
    "--output out": {"outputs": ("out",)},
    "-o out -o x.tap -o -": {"outputs": ("out", "x.tap", "-")},
    "--queue-size 1M --when-full drop": {"queue_size": "1M", "when_full": "drop"},
    "--stats acc": {"stats": "acc"},
    "--pending": {"pending": True},
    "--duration 2.5": {"duration": "2.5"},
    "--no-latency": {"latency": False},
    "--latency": {},
    "--args": {"arguments": True},
    "--ancestors": {"ancestors": True},
    "--summary --by op --limit 3": {"summary": True, "by": "op", "limit": 3},
    "--level vfs": {"level": "vfs"},
    "--best-effort": {"best_effort": True},
    "--ring-size 1M": {"ring_size": "1M"},
    "--ready-fd 99": {"ready_fd": 99},
    "--utc": {"utc": True},
    "path other": {"paths": ("path", "other")},
    "--user u --sandbox --no-wait -- cmd -x": {"user": "u", "sandbox": True, "no_wait": True, "command": ["cmd", "-x"]},
}


@pytest.mark.usefixtures("descriptor_99")
@pytest.mark.parametrize("text", OPTIONS)
def test_every_option_is_parsed(monkeypatch: pytest.MonkeyPatch, captured: list[Arguments], text: str) -> None:
    run(monkeypatch, "trace", "--all", *text.split())
    assert captured == [arguments(**OPTIONS[text])]


def test_no_option_is_forgotten() -> None:
    parsed = {"no_recursive" if name == "recursive" else name for given in OPTIONS.values() for name in given} | {"everything"}
    assert parsed == {option.name for option in trace.params} | {"command"}


@pytest.mark.parametrize(("old", "new"), [("--account x", "--stats x"), ("--account=x", "--stats=x"), ("--no-follow", "--no-children")])
def test_scripts_with_old_names_work(monkeypatch: pytest.MonkeyPatch, captured: list[Arguments], old: str, new: str) -> None:
    run(monkeypatch, "trace", "--all", *old.split())
    run(monkeypatch, "trace", "--all", *new.split())
    assert captured[0] == captured[1]


def test_no_help_has_an_old_name() -> None:
    context = click.Context(command_line.cli)
    for name in command_line.COMMANDS:
        command = command_line.cli.get_command(context, name)
        assert command
        text = command.get_help(click.Context(command, info_name=name))
        assert [old for old in OLD_NAMES if re.search(rf"{old}\b(?!-)", text)] == []


def test_defaults(monkeypatch: pytest.MonkeyPatch, captured: list[Arguments]) -> None:
    run(monkeypatch, "trace", "--all")
    assert captured == [arguments()]


CHECKS: dict[str, tuple[dict[str, Any], str]] = {
    "user": ({"user": "root"}, "--user requires a command"),
    "sandbox": ({"sandbox": True}, "--sandbox requires a command"),
    "no-wait": ({"no_wait": True}, "--no-wait requires a command"),
    "keep": ({"keep": "7d"}, "--keep requires a recording: give -o NAME.tap"),
    "keep-file": ({"keep": "7d", "outputs": ("x.json",)}, "--keep requires a recording"),
    "flight-memory": ({"flight_memory": "1G", "outputs": ("x.tap",)}, "--flight-memory requires --flight-recorder"),
    "zero": ({"duration": "0"}, "--duration 0: give a time above 0"),
    "negative": ({"duration": "-1.5"}, "--duration -1.5: give a time such as"),
    "nan": ({"duration": "nan"}, "--duration nan: "),
    "latency": ({"min_latency": "1ms", "latency": False}, "--no-latency"),
    "minutes": ({"duration": "5m"}, "--duration 5m: give a time such as 10s, 1.5ms or 5min"),
    "ring": ({"ring_size": "1X"}, "--ring-size 1X: give a size"),
    "nothing": ({"everything": False}, "nothing to trace: give -- COMMAND"),
    "command": ({"everything": False, "paths": ("true", "x")}, "To run a command: filetap trace -- true x"),
    "directory": ({"everything": False, "paths": ("/etc",)}, "filetap trace --all /etc or filetap watch /etc"),
    "follow": ({"follow": True}, "--follow requires at least one PATH"),
}


@pytest.mark.parametrize("case", CHECKS)
def test_mistakes_that_need_no_kernel(case: str) -> None:
    given, text = CHECKS[case]
    with pytest.raises(UsageError) as error:
        arguments(**given).check()
    assert text in str(error.value)


def test_no_mistakes() -> None:
    arguments().check()
    arguments(follow=True, paths=["/etc"]).check()
    arguments(command=["x"], user="root", sandbox=True, no_wait=True, duration="100ms", min_latency="1ms", outputs=("x.json",)).check()


def test_options_of_arguments(tmp_path: Path) -> None:
    whose: dict[str, Any] = {"pids": [1], "comms": ["x" * 20], "everything": False, "no_children": True}
    which: dict[str, Any] = {"events": ["pread64"], "paths": [str(tmp_path)], "exclude": ["/x"], "recursive": False, "types": ["pipe"]}
    which |= {"follow": True}
    how: dict[str, Any] = {"failed": True, "min_latency": "2ms", "latency": False, "arguments": True, "ring_size": "1M", "host_paths": True}
    how["ancestors"] = True
    made = options_of(arguments(**whose, **which, **how), None, None)
    assert (made.targets.pids, made.targets.comms, made.targets.all, made.targets.follow) == ([1], [b"x" * 15], False, False)
    assert [CALLS[number].name for number in made.filters.calls] == ["pread64"]
    assert (made.filters.paths, made.filters.exclude, made.filters.recursive) == ([str(tmp_path)], ["/x"], False)
    assert (set(made.filters.types), made.filters.failed, made.filters.min_latency) == ({"file", "pipe"}, True, 2_000_000)
    assert (made.filters.follow, made.host_paths) == (True, True)
    assert (made.latency, made.timed, made.arguments, made.ancestors, made.ring_size) == (False, True, True, True, 1 << 20)


WATCH: dict[str, Any] = {"command": [], "watch": True, "everything": True, "recursive": False, "latency": False, "paths": ("a",)}
WATCHED: dict[str, dict[str, Any]] = {
    "a": {},
    "-r a b": {"recursive": True, "paths": ("a", "b")},
    "--recursive --follow --missing-ok a": {"recursive": True, "follow": True, "missing_ok": True},
    "-p 1 a": {"pids": (1,), "everything": False},
    "-c x --all a": {"comms": ("x",)},
    "--min-latency 1ms a": {"min_latency": "1ms", "latency": True},
    "--user u a -- cmd": {"user": "u", "command": ["cmd"], "everything": False},
}


@pytest.mark.parametrize("text", WATCHED)
def test_watch_has_the_arguments_of_trace(monkeypatch: pytest.MonkeyPatch, captured: list[Arguments], text: str) -> None:
    assert run(monkeypatch, "watch", *text.split()) == 42
    assert captured == [Arguments(**(WATCH | WATCHED[text]))]


def test_watch_has_every_option_of_trace() -> None:
    of_trace, of_watch = ({option.name for option in command.params} for command in (trace, watch))
    assert of_watch - of_trace == {"recursive", "missing_ok"}
    assert of_trace - of_watch == {"no_recursive"}


def test_options_of_a_watch() -> None:
    made = options_of(Arguments(**(WATCH | {"recursive": True, "missing_ok": True})), None, None)
    assert (made.targets.all, made.latency, made.ring_size) == (True, False, 128 << 20)
    assert (made.filters.places, made.filters.recursive, made.filters.wait, made.filters.follow) == (True, True, True, False)
    assert {"open", "write", "unlink", "rename", "setattr", "exec"} <= made.filters.ops
    assert not {"stat", "fault", "seek", "fork", "exit"} & made.filters.ops


def test_watch_needs_a_path(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "watch") == 2
    assert "PATH" in capsys.readouterr().err


NO_THREADS: Final = "cannot start a thread: too many processes (ulimit -u, pids.max), or a time namespace entered without unshare --fork"


class TestMain:
    """How main() ends for each kind of end."""

    @pytest.fixture
    def ending(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        def set_end(end: BaseException | int) -> None:
            def command(*_: object, **__: object) -> int:
                if isinstance(end, BaseException):
                    raise end
                return end

            monkeypatch.setattr(command_line.cli, "main", command)

        return set_end

    ENDS: Sequence[tuple[BaseException | int, int, str]] = (
        (0, 0, ""),
        (7, 7, ""),
        (FiletapError("it broke"), 1, "filetap: it broke\n"),
        (KernelError("refused"), 1, "filetap: refused\n"),
        (UsageError("a mistake"), 2, "filetap: a mistake\n"),
        (click.UsageError("no such thing"), 2, "Error: no such thing\n"),
        (click.ClickException("failed"), 1, "Error: failed\n"),
        (click.Abort(), 130, ""),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
        (OSError(28, "No space left on device"), 1, "filetap: standard output: No space left on device\n"),
        (RuntimeError("can't start new thread"), 1, f"filetap: {NO_THREADS}\n"),
        (PermissionError(13, "Permission denied", "/there"), 1, "filetap: /there: Permission denied\n"),
    )

    @pytest.mark.parametrize("end", ENDS, ids=lambda end: repr(end[0]))
    def test_status_and_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ending: Any, end: tuple[BaseException | int, int, str]
    ) -> None:
        ending(end[0])
        assert run(monkeypatch) == end[1]
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err == end[2] or (not end[2] and printed.err.count("\n") <= 1)


@pytest.mark.parametrize("subcommand", [[], ["trace"], ["watch"], ["doctor"]], ids=["filetap", "trace", "watch", "doctor"])
def test_help_imports_nothing_heavy(subcommand: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['filetap', *{subcommand!r}, '--help']\n"
        "heavy = {'numpy', 'pyarrow', 'ctypes.util', 'filetap.capture.session', 'filetap.core.wire'}\n"
        "from filetap.cli.main import main\n"
        "try: main()\n"
        "finally: print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == "[]\n"
    assert "Examples:" in done.stdout


def test_every_subcommand_is_listed_and_importable() -> None:
    context = click.Context(command_line.cli)
    for name in command_line.COMMANDS:
        command = command_line.cli.get_command(context, name)
        assert command is not None
        assert command.name == name
    assert command_line.cli.get_command(context, "none") is None
