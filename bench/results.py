"""Results of earlier runs, stored as JSON by date and commit below build/bench-results, so that a regression is visible."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

from bench.lab import BUILD
from filetap.core import version

FOLDER: Final = BUILD / "bench-results"


def keep(found: dict[str, Any], also: Path | None = None) -> None:
    """Write a run's result, to ``also`` too, and print a comparison with the newest earlier one of the same figures."""
    found |= {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "commit": version.commit()}
    for line in comparison(found, earlier()):
        print(line)
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=2) + "\n"
    (FOLDER / f"{found['date'].replace(':', '')}-{found['commit'] or 'unknown'}.json").write_text(text, encoding="utf-8")
    if also:
        also.write_text(text, encoding="utf-8")


def earlier() -> list[dict[str, Any]]:
    """Return the stored results, the newest first."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"), reverse=True)]


def comparison(found: dict[str, Any], others: list[dict[str, Any]]) -> list[str]:
    """Return a line for each figure that an earlier run has measured: both medians, and which run that was."""
    lines = []
    for row in found["rows"]:
        older = next(((run, old) for run in others for old in run["rows"] if old["figure"] == row["figure"]), None)
        if older:
            run, old = older
            lines.append(f"{row['figure']:<70}{old['median']:>10.3f} -> {row['median']:.3f}  since {run['date']} ({run['commit']})")
    return ["\nCompared with earlier runs:", *lines] if lines else []
