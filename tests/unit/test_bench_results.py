"""Results of `make bench`: stored, and compared between runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import results


def run(**medians: float) -> dict[str, object]:
    return {"rows": [{"figure": name, "median": median} for name, median in medians.items()], "broken": []}


def test_a_run_is_kept_and_compared_with_the_newest_that_measured_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "kept")
    results.keep(run(one=1.0, two=2.0))
    assert capsys.readouterr().out == ""
    (kept,) = (tmp_path / "kept").iterdir()
    kept.rename(kept.with_name("2026-01-01T000000Z-first.json"))
    results.keep(run(one=1.5), tmp_path / "also.json")
    printed = capsys.readouterr().out
    assert "1.000 -> 1.500" in printed
    assert "two" not in printed
    newest = max((tmp_path / "kept").iterdir())
    assert json.loads(newest.read_text()) == json.loads((tmp_path / "also.json").read_text())
    assert newest.name.startswith(json.loads(newest.read_text())["date"].replace(":", ""))
