"""Every filetap command in the documents has options that exist. tests/e2e/test_guides.py runs those of the README and the guides."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from filetap.cli.main import COMMANDS, cli

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "guide").glob("*.md")]
    if path.name != "CHANGELOG.md"
)
NAMES: Final = "|".join(COMMANDS)
COMMAND: Final = re.compile(rf"^(?: *|# )(?:\.venv/bin/)?(filetap (?:{NAMES}) .*)|`(filetap (?:{NAMES}) [^`]*)`", re.MULTILINE)


def commands(path: Path) -> Iterator[str]:
    """Yield the commands of a document: lines of code, and those within a sentence."""
    for found in COMMAND.finditer(path.read_text()):
        yield found[1] or found[2]


def words_of(command: str) -> list[str]:
    """Return the words of a command up to the end of a shell's command."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    ends = [at for at, word in enumerate(words) if word in ("&", ";", "|", ">", "2>")]
    return words[: min(ends, default=len(words))]


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if any(commands(path))], ids=lambda path: str(path.relative_to(ROOT)))
def test_all_options_exist(path: Path) -> None:
    for command in commands(path):
        _, name, *words = words_of(command)
        with click.Context(cli) as parent:
            found = cli.get_command(parent, name)
            assert found
            found.make_parser(click.Context(found, parent)).parse_args(words)
