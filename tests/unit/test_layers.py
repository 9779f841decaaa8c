"""The import layers: each module may import only from layers below its own (pyproject.toml, [tool.importlinter]).

In addition to `make check`, which reports a break in full, so that a plain pytest run sees it too.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import lint_imports


def test_imports_go_downwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert lint_imports(no_cache=True) == 0
