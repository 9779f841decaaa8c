"""The command line without a kernel: mistakes are found before anything is forked, loaded or written.

Apart from tests/e2e, where the installed command runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import pytest

from filetap.cli import main as command_line
from filetap.cli import trace as tracing
from filetap.cli import watch as watching
from filetap.core.calls import CALLS
from filetap.core.errors import FiletapError, KernelError, UsageError

ROTATED: Final = {"rotate_size": "64M", "rotate_time": "1h", "keep": "7d"}
FLIGHT: Final = {"flight_recorder": "60s", "flight_memory": "1G"}
UNSAID: dict[str, Any] = {"min_latency": None, "output": None, "account": None, "duration": None, "user": None}
UNSAID |= dict.fromkeys(("paths", "pids", "comms", "cgroups", "events", "exclude", "types"), ())
UNSAID |= dict.fromkeys(("no_follow", "sandbox", "no_wait", "no_recursive", "follow", "failed", "force", "arguments", "host_paths"), False)
UNSAID |= dict.fromkeys(("best_effort", "summary", "pending", "ancestors"), False) | dict.fromkeys(("by", "top"))
UNSAID |= {
    "form": None,
    "latency": True,
    "level": "auto",
    "ring_size": next(option.default for option in tracing.trace.params if option.name == "ring_size"),
    "ready_fd": None,
}
PLAIN: dict[str, Any] = UNSAID | {"command": [], "everything": True}
"""``filetap trace --all``."""


def words(**given: Any) -> tracing.Words:
    return tracing.Words(**(PLAIN | given))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of the command line."""
    monkeypatch.setattr(sys, "argv", ["filetap", *arguments])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[tracing.Words]:
    """What the words of a command line became; nothing is forked or run."""
    seen: list[tracing.Words] = []

    class NoRun:
        def __init__(self, given: tracing.Words, *_: object) -> None:
            seen.append(given)

        def to_the_end(self) -> int:
            return 42

    class NoCommand:
        pid = 0

        def __init__(self, *_: object) -> None: ...

        def abandon(self) -> None: ...

    monkeypatch.setattr(tracing, "Run", NoRun)
    monkeypatch.setattr(tracing, "Command", NoCommand)
    monkeypatch.setattr(tracing, "find_user", lambda name: name)
    return seen


@pytest.fixture
def descriptor_99() -> Iterator[None]:
    """It is open for writing."""
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
    monkeypatch: pytest.MonkeyPatch, captured: list[tracing.Words], case: str
) -> None:
    arguments, paths, command = SPLITS[case]
    assert run(monkeypatch, "trace", *arguments) == 42
    assert (list(captured[0].paths), captured[0].command) == (paths, command)


SAID: dict[str, dict[str, Any]] = {
    "-p 1 --pid 2": {"pids": (1, 2)},
    "-c a --command b": {"comms": ("a", "b")},
    "--cgroup x --cgroup y": {"cgroups": ("x", "y")},
    "--no-follow": {"no_follow": True},
    "-e read --event io": {"events": ("read", "io")},
    "--exclude q --exclude r": {"exclude": ("q", "r")},
    "--no-recursive": {"no_recursive": True},
    "--follow path": {"follow": True, "paths": ("path",)},
    "--host-paths": {"host_paths": True},
    "--type pipe --type all": {"types": ("pipe", "all")},
    "--failed": {"failed": True},
    "--min-latency 1ms": {"min_latency": "1ms"},
    "-f json": {"form": "json"},
    "-o x.tap --rotate-size 64M --rotate-time 1h --keep 7d": {"output": "x.tap", **ROTATED},
    "-o x.tap --flight-recorder 60s --flight-memory 1G": {"output": "x.tap", **FLIGHT},
    "--format none": {"form": "none"},
    "-o out --force": {"output": "out", "force": True},
    "--output out": {"output": "out"},
    "--account acc": {"account": "acc"},
    "--pending": {"pending": True},
    "--duration 2.5": {"duration": 2.5},
    "--no-latency": {"latency": False},
    "--latency": {},
    "--args": {"arguments": True},
    "--ancestors": {"ancestors": True},
    "--summary --by op --top 3": {"summary": True, "by": "op", "top": 3},
    "--level vfs": {"level": "vfs"},
    "--best-effort": {"best_effort": True},
    "--ring-size 1M": {"ring_size": "1M"},
    "--ready-fd 99": {"ready_fd": 99},
    "path other": {"paths": ("path", "other")},
    "--user u --sandbox --no-wait -- cmd -x": {"user": "u", "sandbox": True, "no_wait": True, "command": ["cmd", "-x"]},
}


@pytest.mark.usefixtures("descriptor_99")
@pytest.mark.parametrize("text", SAID)
def test_every_option_has_its_word(monkeypatch: pytest.MonkeyPatch, captured: list[tracing.Words], text: str) -> None:
    run(monkeypatch, "trace", "--all", *text.split())
    assert captured == [words(**SAID[text])]


def test_no_option_is_forgotten() -> None:
    said = {name for given in SAID.values() for name in given} | {"everything"}
    assert said == {option.name for option in tracing.trace.params} | {"command"}


def test_what_is_not_said_has_its_default(monkeypatch: pytest.MonkeyPatch, captured: list[tracing.Words]) -> None:
    run(monkeypatch, "trace", "--all")
    assert captured == [words()]


CHECKS: dict[str, tuple[dict[str, Any], str]] = {
    "user": ({"user": "root"}, "--user is for a launched command"),
    "sandbox": ({"sandbox": True}, "--sandbox is for"),
    "no-wait": ({"no_wait": True}, "--no-wait is for"),
    "keep": ({"keep": "7d"}, "--keep is for a recording: give -o NAME.tap"),
    "keep-file": ({"keep": "7d", "output": "x.json"}, "--keep is for a recording"),
    "flight-memory": ({"flight_memory": "1G", "output": "x.tap"}, "--flight-memory is for --flight-recorder"),
    "zero": ({"duration": 0.0}, "--duration 0: "),
    "negative": ({"duration": -1.5}, "--duration -1.5: "),
    "nan": ({"duration": float("nan")}, "--duration nan: "),
    "latency": ({"min_latency": "1ms", "latency": False}, "--no-latency"),
    "follow": ({"follow": True}, "--follow is for the files below a PATH"),
}


@pytest.mark.parametrize("case", CHECKS)
def test_mistakes_that_need_no_kernel(case: str) -> None:
    given, text = CHECKS[case]
    with pytest.raises(UsageError) as error:
        words(**given).check()
    assert text in str(error.value)


def test_no_mistakes() -> None:
    words().check()
    words(follow=True, paths=["/etc"]).check()
    words(command=["x"], user="root", sandbox=True, no_wait=True, duration=0.1, min_latency="1ms", output="x.json").check()


def test_options_of_words(tmp_path: Path) -> None:
    whose: dict[str, Any] = {"pids": [1], "comms": ["x" * 20], "everything": False, "no_follow": True}
    which: dict[str, Any] = {"events": ["pread64"], "paths": [str(tmp_path)], "exclude": ["/x"], "no_recursive": True, "types": ["pipe"]}
    which |= {"follow": True}
    how: dict[str, Any] = {"failed": True, "min_latency": "2ms", "latency": False, "arguments": True, "ring_size": "1M", "host_paths": True}
    how["ancestors"] = True
    made = tracing.options_of(words(**whose, **which, **how), None, None)
    assert (made.targets.pids, made.targets.comms, made.targets.all, made.targets.follow) == ([1], [b"x" * 15], False, False)
    assert [CALLS[number].name for number in made.filters.calls] == ["pread64"]
    assert (made.filters.paths, made.filters.exclude, made.filters.recursive) == ([str(tmp_path)], ["/x"], False)
    assert (set(made.filters.types), made.filters.failed, made.filters.min_latency) == ({"file", "pipe"}, True, 2_000_000)
    assert (made.filters.follow, made.host_paths) == (True, True)
    assert (made.latency, made.timed, made.arguments, made.ancestors, made.ring_size) == (False, True, True, True, 1 << 20)


WATCH: dict[str, Any] = {name: UNSAID[name] for name in ("output", "account", "duration", "events", "force", "form")}
WATCH |= {name: UNSAID[name] for name in ("level", "best_effort", "ring_size", "ready_fd", "pending", "arguments", "ancestors")}
WATCH |= {"paths": ("a",), "recursive": False, "follow": False, "wait": False, "latency": False}
WATCHED: dict[str, dict[str, Any]] = {
    "a --level vfs --best-effort": {"level": "vfs", "best_effort": True},
    "a": {},
    "-r a b": {"recursive": True, "paths": ("a", "b")},
    "--recursive --follow --wait a": {"recursive": True, "follow": True, "wait": True},
    "-e read --event io a": {"events": ("read", "io")},
    "-f json -o out --force a": {"form": "json", "output": "out", "force": True},
    "-o x.tap --rotate-size 64M --rotate-time 1h --keep 7d a": {"output": "x.tap", **ROTATED},
    "-o x.tap --flight-recorder 60s --flight-memory 1G a": {"output": "x.tap", **FLIGHT},
    "--account acc --duration 2 --latency --ring-size 1M a": {"account": "acc", "duration": 2.0, "latency": True, "ring_size": "1M"},
    "--args --ancestors a": {"arguments": True, "ancestors": True},
    "--ready-fd 99 a": {"ready_fd": 99},
    "--pending a": {"pending": True},
}


@pytest.mark.usefixtures("descriptor_99")
@pytest.mark.parametrize("text", WATCHED)
def test_every_option_of_watch_has_its_word(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    seen: list[watching.Words] = []

    class NoRun:
        def __init__(self, given: watching.Words, *_: object) -> None:
            seen.append(given)

        def to_the_end(self) -> int:
            return 42

    monkeypatch.setattr(watching, "Run", NoRun)
    assert run(monkeypatch, "watch", *text.split()) == 42
    assert seen == [watching.Words(**(WATCH | WATCHED[text]))]


def test_no_option_of_watch_is_forgotten() -> None:
    assert {name for given in WATCHED.values() for name in given} == {option.name for option in watching.watch.params}


def test_options_of_a_watch() -> None:
    made = watching.options_of(watching.Words(**(WATCH | {"recursive": True, "wait": True})))
    assert (made.targets.all, made.latency, made.ring_size) == (True, False, 128 << 20)
    assert (made.filters.places, made.filters.recursive, made.filters.wait, made.filters.follow) == (True, True, True, False)
    assert {"open", "write", "unlink", "rename", "setattr", "exec"} <= made.filters.ops
    assert not {"stat", "fault", "seek", "fork", "exit"} & made.filters.ops


def test_watch_needs_a_path(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "watch") == 2
    assert "PATH" in capsys.readouterr().err


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
