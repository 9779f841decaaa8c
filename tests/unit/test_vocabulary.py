"""Texts for users are plain technical English: no word of the project's old dialect is in help, messages, documents or names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from docs import generate
from filetap.analysis.columns import EVENTS, MACROS, PENDING
from filetap.cli.main import cli
from filetap.core.statistics import Statistics
from filetap.recording.format import COLUMNS

ROOT: Final = Path(__file__).parents[2]
BANNED: Final = (
    "told|tell|tells|asked for|asks|ask of|whoever|whatever|beside|account|accounts|fold|folds|folded|no room|summed up|sums up|sum up"
    "|let go|lets go|has not got|what it has not|nobody|anybody|somebody|everybody|heard|hears|under way|in vain|for want of|made again"
    "|met again|handed over|hands over|hand over|takes no more|no more is|way in|at work|anew|strangers|bystander|as it was asked"
)
"""Words and phrases that have a standard term instead: reported, requested, statistics, aggregated, pending, in addition to, ..."""
DIALECT: Final = re.compile(r"(?<![\w/-])(" + BANNED.replace(" ", r"\s+") + r")(?![\w-])", re.IGNORECASE)
CASES: Final = "## Others, on the same cases"
"""In docs/coverage.md the comments of the conformance cases are behind this heading; they are no text of filetap's."""
EXCEPTIONS: Final = {
    "SECURITY.md": ("(an account, a container",),  # of a user
    "docs/trace-format.md": ("`folded` for `aggregated`", "`account` for `statistics`"),  # names in old versions
}
"""Legitimate uses, by file."""
DOCUMENTS: Final = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "guide").glob("*.md")]
    if path.name not in {"CHANGELOG.md", "kernels.md"}  # the second is written by a run of the virtual machines
)
MODULES: Final = sorted((ROOT / "src" / "filetap").rglob("*.py"))


def dialect(text: str) -> list[str]:
    """Return each banned word with the text around it."""
    return [text[max(0, found.start() - 40) : found.end() + 20] for found in DIALECT.finditer(text)]


def texts(module: Path) -> Iterator[str]:
    """Yield each string literal of several words, except docstrings. Parts of an f-string are joined."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    expressions = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    joined = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value and node not in expressions | joined:
            yield node.value


@pytest.mark.parametrize("text", ["what was asked for", "nobody knows", "the account tells", "No room", "a call is under\nway"])
def test_dialect_is_found(text: str) -> None:
    assert dialect(text)


@pytest.mark.parametrize("text", ["besides", "untold", "a foldable", "accounting", "requested", "it asked a question", "/var/account"])
def test_other_words_are_not(text: str) -> None:
    assert not dialect(text)


@pytest.mark.parametrize("name", ["", *(name for name, _, _ in generate.commands())])
def test_help(name: str) -> None:
    root = click.Context(cli, info_name="filetap")
    command = cli.get_command(root, name) if name else cli
    assert command
    assert not dialect(command.get_help(click.Context(command, parent=root, info_name=name)))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents(path: Path) -> None:
    text = path.read_text(encoding="utf-8").partition(CASES)[0]
    for allowed in EXCEPTIONS.get(str(path.relative_to(ROOT)), ()):
        assert allowed in text, "an exception that nothing needs"
        text = text.replace(allowed, "")
    assert not dialect(text)


def test_generated_documents() -> None:
    """Those that only have generated tables are tested above."""
    made = {path: text for path, text in generate.files().items() if path.parts[0] in ("reference", "man")}
    assert {path: words for path, text in made.items() if (words := dialect(text))} == {}


def test_messages() -> None:
    found = {str(module.relative_to(ROOT)): [words for text in texts(module) for words in dialect(text)] for module in MODULES}
    assert {module: words for module, words in found.items() if words} == {}


def test_names_of_columns_and_fields() -> None:
    names = {column.name for column in (*EVENTS, *PENDING)} | {call.partition("(")[0] for call in MACROS}
    names |= {name for columns in COLUMNS.values() for name in columns} | COLUMNS.keys() | Statistics().as_json().keys()
    assert {name for name in names if dialect(name.replace("_", " "))} == set()


def test_meanings_of_columns() -> None:
    meanings = [column.meaning for column in (*EVENTS, *PENDING)] + [meaning for _, meaning in MACROS.values()]
    assert [words for meaning in meanings for words in dialect(meaning)] == []
