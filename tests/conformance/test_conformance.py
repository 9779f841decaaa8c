"""Every case against filetap, and the rules of the suite: enough cases, none skipped, a correct docs/coverage.md.

Separate from tests/unit/test_judge.py, because this needs root and a kernel. All cases are run in one run of filetap.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from filetap.core.calls import GROUPS as GROUPS_OF_OPS
from tests.conformance import coverage
from tests.conformance.adapters import TRACERS
from tests.conformance.cases import GROUPS, ROOT, Case, all_cases
from tests.conformance.compare import Verdict
from tests.conformance.runner import Result, run
from tests.conformance.unsupported import FACILITIES, LIMITS, unproven, unseen

CASES: Final = all_cases()
DOCUMENT: Final = ROOT / "docs" / "coverage.md"
ADVICE: Final = "run: make coverage"


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return {result.case.id: result for result in run(CASES, TRACERS["filetap"])}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_filetap_is_exact(case: Case, results: dict[str, Result], record_property: Callable[[str, object], None]) -> None:
    score = results[case.id].score
    record_property("group", f"conformance/{case.group}")
    if score.verdict == "cannot":
        record_property("cannot", score.note)
    if score.verdict != "wrong" and (facility := unseen(case.id)):
        record_property("cannot", facility)
        return
    assert score.verdict == "exact" or (score.verdict == "cannot" and not unproven(score.note)), str(score)


def test_there_are_enough_cases_and_each_has_a_title() -> None:
    counts = Counter(case.group for case in CASES)
    assert sum(counts.values()) >= 80
    assert [group for group in GROUPS if counts[group] < 3] == []
    assert [case.id for case in CASES if not case.title] == []


def test_every_operation_on_files_has_a_case() -> None:
    expected = {op for case in CASES for op in case.ops}
    assert expected == set(coverage.SYSTEM_OPS) - set(GROUPS_OF_OPS["process"])


def test_facilities_of_cases_have_probes() -> None:
    """No case may be unsupported without a proof."""
    headers = [ROOT / "tests" / "conformance" / name for name in ("int80.h", "uring.h")]
    text = "".join(file.read_text() for file in (*(case.source for case in CASES), *headers))
    claimed = set(re.findall(r'(?:cannot\(|uring_need\([^"]*)"([^"]*)"', text))
    assert claimed == set(FACILITIES)


@pytest.mark.parametrize("facility", LIMITS)
def test_limits_are_due_to_a_missing_hook(facility: str) -> None:
    assert LIMITS[facility](), "the kernel has it: docs/coverage.md claims too much"
    assert facility in {row["needs"] for row in coverage.limits()["cannot"]}


def test_limits_name_existing_operations_and_probes() -> None:
    reported = coverage.limits()
    assert set(reported["limits"]) == set(coverage.SYSTEM_OPS)
    assert {row["needs"] for row in reported["cannot"]} == set(LIMITS)


@pytest.mark.native("docs/coverage.md is about the development machine's kernel")
def test_coverage_matches_the_results(results: dict[str, Result]) -> None:
    """Filetap's results are new; those of other tracers, and of what this kernel does not support, are the recorded ones."""
    document = DOCUMENT.read_text()
    kernel, recorded = coverage.recorded(document)
    fresh = coverage.report({"filetap": list(results.values())}, kernel)
    verdicts = {case: here(verdict, recorded["filetap"].get(case)) for case, verdict in fresh.verdicts["filetap"].items()}
    assert verdicts == recorded["filetap"], ADVICE
    if "cannot" not in set(verdicts.values()) ^ set(fresh.verdicts["filetap"].values()):
        assert coverage.text(coverage.replace_verdicts(fresh, recorded)) == document, ADVICE


def here(fresh: Verdict, recorded: Verdict | None) -> Verdict | None:
    """Return the results without cases that this kernel does not support: they are not compared with the recorded ones."""
    return recorded if "cannot" in (fresh, recorded) else fresh


def test_requested_names_are_reported_for_the_listed_calls_only(results: dict[str, Result]) -> None:
    document = DOCUMENT.read_text()
    always, failed = coverage.listed_names(document)
    assert (always, failed) == coverage.requested_name_calls()
    events = [event for result in results.values() for event in result.events if unresolved(event)]
    assert {event["call"] for event in events} <= always | failed
    successful = {event["call"] for event in events if event["call"] in failed and event["result"] >= 0}
    assert successful <= {"execve", "execveat", "io_uring:openat", "io_uring:openat2"}, "scripts and direct descriptors"
    assert {event["call"] for event in events if event["call"] in always}


def unresolved(event: dict[str, Any]) -> bool:
    return any(file.get("resolved") is False for file in (event, event.get("target", {})))


@pytest.mark.native("strace and bpftrace are judged on one kernel, and bpftrace takes minutes to compile in a machine")
@pytest.mark.parametrize(
    ("tracer", "expected"),
    [
        ("strace", {"io/pread64": "seen", "io/open_missing": "seen", "position/lseek_pipe": "seen", "uring/read": "missed"}),
        ("strace", {"metadata/faccessat": "exact", "namespace/unlinkat": "exact", "io/pwritev2_append": "wrong"}),
        ("bpftrace", {"io/pread64": "seen", "io/readv_short": "seen", "uring/read": "missed", "compat/int80_unlink": "exact"}),
    ],
)
def test_other_tracers_are_scored(tracer: str, expected: dict[str, Verdict]) -> None:
    cases = [case for case in CASES if case.id in expected]
    assert {result.case.id: result.score.verdict for result in run(cases, TRACERS[tracer])} == expected
