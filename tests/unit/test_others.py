"""The row of all others is marked as such, and no name can look like it: by its position in tables, by ``others`` elsewhere."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pytest

from filetap.analysis.summary import USER
from filetap.report import summary, top

NAMED: Final[dict[str, dict[str, Any]]] = {
    "file": {"path": b"/(others)"},
    "directory": {"directory": b"/(others)"},
    "process": {"pid": 7, "command": b"(others)"},
    "user": dict.fromkeys(USER) | {"euid": 7, "user_name": "(others)"},
    "cgroup": {"cgroup_path": b"/(others)"},
}


@pytest.mark.parametrize("by", NAMED)
def test_no_name_looks_like_the_mark(by: str) -> None:
    keys = NAMED[by]
    table = pa.table({name: [value, None] for name, value in keys.items()} | {"others": [False, True], "count": [3, 2]})
    _, real, others = summary.as_text(table).splitlines()
    assert others == f"{2:9} (others)"
    assert not real.startswith(f"{3:9} (others)")
    for row, marked in zip(table.to_pylist(), (False, True), strict=True):
        assert (top.named(row, by, 80).startswith("(others)")) == marked
