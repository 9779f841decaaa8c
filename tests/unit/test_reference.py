"""The reference, man pages and completions in the tree are those of the commands; the completions work in a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs import generate
from filetap.cli.main import COMMANDS, GROUPS


@pytest.mark.parametrize("path", generate.files(), ids=str)
def test_it_matches_the_commands(path: Path) -> None:
    assert (generate.DOCS / path).read_text(encoding="utf-8") == generate.files()[path], "run: make reference"


def test_there_are_no_other_files() -> None:
    found = {
        path.relative_to(generate.DOCS) for folder in ("reference", "man", "completions") for path in (generate.DOCS / folder).iterdir()
    }
    assert found == {path for path in generate.files() if path.parent.parts}


def test_the_readme_is_short() -> None:
    assert len((generate.DOCS.parent / "README.md").read_text(encoding="utf-8").split()) <= 700


def test_every_command_is_in_one_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)


@pytest.mark.parametrize(("words", "expected"), [("filetap re", ["record", "replay"]), ("filetap trace --no-c", ["--no-children"])])
def test_bash_gets_completions(words: str, expected: list[str]) -> None:
    completion = {"_FILETAP_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    command = [sys.executable, "-c", "from filetap.cli.start import main; main()"]
    done = subprocess.run(command, env=os.environ | completion, capture_output=True, text=True, check=False)
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == expected
