"""docs/querying.md and examples/: what they show works, and what they list is complete.

Separate from the tests of the commands themselves, because it checks the documentation.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from filetap.analysis.columns import EVENTS, MACROS
from tests.e2e.conftest import ENVIRONMENT, PYTHON, Filetap

ROOT: Final = Path(__file__).parent.parent.parent
TEXT: Final = (ROOT / "docs" / "querying.md").read_text(encoding="utf-8")
PROGRAM: Final = "import json; open('/tmp/none/at all') if 0 else None"


def shown(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def trace(ft: Filetap, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("querying") / "work.tap"
    assert ft.trace("-e", "all", "-o", folder, "--", PYTHON, "-S", "-E", "-c", PROGRAM).status == 0
    return folder


def test_each_column_and_macro_is_in_the_page() -> None:
    rows = re.findall(r"^\| `(.+?)` \| (.+) \|$", TEXT, re.MULTILINE)
    expected = [(column.name, column.meaning) for column in EVENTS] + [(call, meaning) for call, (_, meaning) in MACROS.items()]
    assert rows[: len(expected)] == expected


def test_the_columns_are_those_of_the_view(ft: Filetap, trace: Path) -> None:
    head = ft("query", trace, "FROM events LIMIT 1", "--format", "csv").out.decode().splitlines()[0]
    assert head.split(",") == [column.name for column in EVENTS]


@pytest.mark.parametrize("sql", shown("sql"))
def test_queries(ft: Filetap, trace: Path, sql: str) -> None:
    result = ft("query", trace, sql)
    assert (result.status, result.err) == (0, b"")


def test_python(trace: Path) -> None:
    (code,) = shown("python")
    done = subprocess.run([sys.executable, "-c", code], cwd=trace.parent, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") > 3


def test_the_example(trace: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "cold_files.py")]
    done = subprocess.run([*command, str(trace)], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "where the time went" in done.stdout
    wrong = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert wrong.returncode == 1
    assert len(wrong.stderr.splitlines()) == 1


def test_importing_filetap_is_cheap() -> None:
    code = "import sys, filetap; print(*sorted({'numpy', 'pyarrow', 'duckdb', 'click'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
