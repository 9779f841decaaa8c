"""The help texts: their examples work as pasted, and printing them is cheap.

Separate from test_options_events.py, because the examples are taken from the output of ``--help``. Each runs in bash,
unchanged, with ``filetap`` found on PATH.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import READY, WAIT

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap

SUBCOMMANDS = ("", "trace", "watch", "top", "record", "doctor")
OTHERS = re.compile(rb"^note: \d+ changes (by names?|were by names) .*\n", re.MULTILINE)
"""Changes by other processes whose names could not be looked up."""
COUNTS = re.compile(rb"^note: \d+ .*\n", re.MULTILINE)
"""What other processes of the machine did that was too much for a table."""
HEAVY = {"numpy", "pyarrow", "filetap.capture.session", "filetap.kernel.libbpf"}


@cache
def help_of(subcommand: str) -> str:
    """Return a help text in this process, so that each example can be a test of its own; test_help_is_what_is_printed compares it with
    the command."""
    code = "from filetap.cli.main import cli; import sys; cli(sys.argv[1:], prog_name='filetap')"
    words = [*([subcommand] if subcommand else []), "--help"]
    return subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True, text=True, env=width(200)).stdout


def width(columns: int) -> dict[str, str]:
    return dict(os.environ) | {"COLUMNS": str(columns), "LC_ALL": "C.UTF-8"}


def examples_in(text: str) -> list[str]:
    """Return the lines below Examples:, without the remark after two or more blanks."""
    block = re.search(r"Examples:\n((?: +filetap .*\n?)+)", text)
    lines = block[1].splitlines() if block else []
    return [re.split(r" {2,}", line.strip())[0] for line in lines]


def all_examples() -> list[str]:
    return list(dict.fromkeys(example for name in SUBCOMMANDS for example in examples_in(help_of(name))))


@pytest.fixture
def on_path(ft: Filetap, tmp_path: Path) -> str:
    """Return a PATH on which ``filetap`` is the command under test."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "filetap").write_text(f'#!/bin/sh\nexec {shlex.join(ft.command)} "$@"\n')
    (directory / "filetap").chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_help_is_what_is_printed(ft: Filetap, subcommand: str) -> None:
    words = [subcommand] if subcommand else []
    done = subprocess.run([*ft.command, *words, "--help"], check=True, capture_output=True, text=True, env=width(200))
    assert done.stdout == help_of(subcommand)
    assert done.stderr == ""


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_each_help_has_examples(subcommand: str) -> None:
    assert len(examples_in(help_of(subcommand))) >= 2


@pytest.mark.parametrize("example", all_examples())
def test_example_works_as_pasted(on_path: str, tmp_path: Path, example: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_")} | {"PATH": on_path}
    script = f"{example}\nexit $?"  # not the last command: bash would exec it, and $$ would be lost
    shell = ["bash", "-o", "pipefail", "-c", script]
    done = subprocess.run(shell, capture_output=True, timeout=WAIT, check=False, env=environment, cwd=tmp_path)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    text = OTHERS.sub(b"", READY.sub(b"", done.stderr))
    if " -- " not in example and " -p " not in example:  # it traces all processes of the machine, those of other tests too
        text = COUNTS.sub(b"", text)
    assert not re.search(rb"^(filetap: |Error: |note: )", text, re.MULTILINE), text.decode()
    if " trace " in example or " watch " in example:
        verdict = re.search(rb"^nothing (was seen|lost: (\d+) seen = (\d+) delivered)$", done.stderr, re.MULTILINE)
        assert verdict
        assert verdict[2] == verdict[3]
        assert verdict[2] or " -- " not in example


@pytest.fixture(scope="module")
def recorded(ft: Filetap, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder that contains the recording NAME.tap."""
    folder = tmp_path_factory.mktemp("recorded")
    assert ft("record", "-o", folder / "NAME.tap", "--", "cat", "/etc/hostname").status == 0
    return folder


@pytest.mark.parametrize("example", [example for name in ("summary", "query", "replay") for example in examples_in(help_of(name))])
def test_example_for_recordings_works_as_pasted(on_path: str, recorded: Path, example: str) -> None:
    environment = os.environ | {"PATH": on_path}
    done = subprocess.run(["bash", "-c", example], capture_output=True, timeout=WAIT, check=False, env=environment, cwd=recorded)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_options_are_wrapped_to_the_terminal(ft: Filetap, subcommand: str, columns: int) -> None:
    words = [subcommand] if subcommand else []
    printed = subprocess.run([*ft.command, *words, "--help"], check=True, capture_output=True, text=True, env=width(columns)).stdout
    lines = [line for line in printed.splitlines() if "filetap " not in line]
    assert max(map(len, lines)) <= columns


def test_examples_fit_100_columns() -> None:
    for name in SUBCOMMANDS:
        assert max(len(line) for line in help_of(name).splitlines() if "filetap " in line) <= 100


def loaded(line: str, modules: set[str]) -> list[str]:
    """Return which of these modules the command has loaded at its end."""
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('loaded:', *sorted({modules!r} & set(sys.modules)), file=sys.stderr))\n"
        "from filetap.cli.main import main\n"
        f"sys.argv = ['filetap', *{line.split()!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "loaded:" in done.stderr
    return done.stderr.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("line", ["--help", "trace --help", "watch --help", "doctor --help", "--version", "trace --bogus"])
def test_help_imports_nothing_heavy(line: str) -> None:
    assert loaded(line, HEAVY) == []


@pytest.mark.parametrize("form", ["none", "json", "table"])
def test_a_trace_imports_nothing_that_it_can_do_without(form: str) -> None:
    """filetap/render/arrow.py has what is needed of the first two; numpy shows that the test sees imports at all."""
    assert loaded(f"trace -f {form} -- true", {"pyarrow.compute", "numpy.ma", "importlib.metadata", "duckdb", "numpy"}) == ["numpy"]


def test_the_command_is_forked_before_anything_heavy_is_imported() -> None:
    """numpy's threads would not survive the fork, and forking a large process is slow."""
    code = (
        "import os, sys\n"
        "fork = os.fork\n"
        f"def look(): print('at fork:', *sorted({HEAVY!r} & set(sys.modules)), flush=True); return fork()\n"
        "os.fork = look\n"
        "from filetap.cli.main import main\n"
        "sys.argv = ['filetap', 'trace', '-f', 'none', '--', 'true']\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["at", "fork:"])
