"""Reasons for a run without events: each where it can apply, and nowhere else.

Separate from tests/e2e/test_silence.py, with real runs. The oracle is the options of each run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from filetap.capture.silence import Facts, reasons
from filetap.selection.filters import Filters, select_calls
from filetap.selection.targets import Cgroup, Targets

FACTS = Facts(executed=True, named=True, live=True, hooks=True, unmatched=0, cgroups=[])
A_CGROUP = Cgroup(Path("/x"), 7)
EVERYBODY = Targets(all=True)
CASES: dict[str, tuple[Targets, dict[str, Any], dict[str, Any], list[str]]] = {
    "command": (Targets(command=5), {}, {"executed": False}, ["the command was not executed"]),
    "command that ran": (Targets(command=5), {}, {}, []),
    "pid": (Targets(pids=[5]), {}, {"live": False}, ["-p have ended"]),
    "pid that runs": (Targets(pids=[5]), {}, {}, []),
    "name": (Targets(comms=[b"a", b"b"]), {}, {"named": False}, ["no process named a or b ran", "interpreter"]),
    "name that ran": (Targets(comms=[b"a"]), {}, {}, []),
    "cgroup": (Targets(cgroups=[A_CGROUP]), {}, {"cgroups": ["cgroup /x is gone"]}, ["cgroup /x is gone"]),
    "both": (Targets(comms=[b"a"], cgroups=[A_CGROUP]), {}, {}, ["-c and --cgroup were both given: only processes that match both count"]),
    "everybody": (Targets(all=True, comms=[b"a"], pids=[5], cgroups=[A_CGROUP]), {}, {"named": False, "live": False}, []),
    "names": (EVERYBODY, {"calls": select_calls(["stat"]), "paths": ["/etc"]}, {"hooks": False}, ["no VFS hook", "to this PATH"]),
    "names with hooks": (EVERYBODY, {"calls": select_calls(["stat"]), "paths": ["/etc"]}, {}, ["to this PATH"]),
    "no names": (EVERYBODY, {"calls": select_calls(["read"]), "paths": ["/a", "/b"]}, {"hooks": False}, ["to these PATHs"]),
    "a name that leads elsewhere": (EVERYBODY, {}, {"unmatched": 1}, ["1 call by name was left out because its name"]),
    "names that lead elsewhere": (EVERYBODY, {}, {"unmatched": 3}, ["3 calls by name"]),
    "types": (EVERYBODY, {"calls": select_calls(["io"]), "types": frozenset({"file"})}, {}, ["--type"]),
    "types of names": (EVERYBODY, {"calls": select_calls(["mkdir"]), "types": frozenset({"file"})}, {}, []),
    "failed": (EVERYBODY, {"failed": True}, {}, ["--failed"]),
    "latency": (EVERYBODY, {"min_latency": 5}, {}, ["--min-latency"]),
}


@pytest.mark.parametrize("case", CASES)
def test_reasons(case: str) -> None:
    targets, filters, facts, expected = CASES[case]
    given = Filters(**({"types": frozenset({"file", "pipe"})} | filters))
    found = reasons(targets, given, replace(FACTS, **facts))
    if expected:
        assert all(any(words in line for line in found) for words in expected)
        assert all(any(words in line for words in expected) for line in found)
    else:
        assert found == ["the traced processes made no call of the selected operations"]
