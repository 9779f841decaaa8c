"""docs/coverage.md: what is seen by which hook, what was proven by which cases, what is not seen, and how others do.

Apart, because a card is for those who run the suite and this is for those who do not. Everything comes from the results,
from filetap's table of calls and from limits.toml, so that the same results give the same text.
"""

from __future__ import annotations

import platform
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from filetap.core.calls import CALLS, FIRST_HOOK, OPS, Call
from filetap.core.calls import GROUPS as GROUPS_OF_OPS
from tests.conformance.card import Verdicts, counted
from tests.conformance.cases import GROUPS, HERE, Case
from tests.conformance.compare import NOT_OF_AN_EVENT, VERDICTS, Event, Verdict
from tests.conformance.runner import Result

OF_THE_FILE: Final = {"path", "inode", "device", "resolved", "deleted", "real"}
"""Members that every operation on a file has or has not: the column of fields leaves them out."""
PROCESSES: Final = GROUPS_OF_OPS["process"]
SYSTEM: Final = CALLS[1:FIRST_HOOK]
"""The cases are about system calls; hooks below them have tests of their own, tests/kernel/test_vfs.py."""
SYSTEM_OPS: Final = tuple(op for op in OPS if op in {call.op for call in SYSTEM})
RESOLVED_WHEN_DONE: Final = ("open", "chdir", "exec")
"""By name too, when they succeed."""
HEADING: Final = "## Names as they were asked for"

INTRODUCTION: Final = """# What filetap sees

Made by `make coverage` from the results of tests/conformance: do not edit. A case is a small C program that does one thing
and says what it did: path, identity, operation, offset, bytes. It counts when filetap tells exactly that, event by event, and
nothing more.
"""

HOOKS: Final = """## Operations

Hooks: **call** is the system call's own tracepoints, raw (`sys_enter`, `sys_exit`) or classic (`sys_exit_openat`), whichever
costs others less. **ring** is io_uring's tracepoints, `io_uring_submit_req` to `io_uring_complete`. **aio** is those of
io_submit and io_getevents. **fault** is `page_fault_user` and `page_fault_kernel`, **task** is `sched_process_fork`, `_exec`
and `_exit`. What attaches on a machine, `filetap doctor` says.

Fields are those of `io` that a case has compared, beside the call and the file; docs/events.md explains them. A number behind
a call is the kernel that brought it; the others are older than 6.1. Cases: how many expect the operation, all exact unless it
says otherwise. 32-bit calls are counted in the account, and not told.
"""

NAMES: Final = """
`"resolved":false` is told for these calls alone. A name is the caller's, joined to the directory it starts from; symbolic
links in it are not followed, and there is no inode. An empty name with AT_EMPTY_PATH is a descriptor, and resolved.
"""

CANNOT: Final = """## Cannot

What no hook that is used tells. Each row names what a kernel would need to have, and the suite proves by a probe that this
kernel has it not.
"""

OTHERS: Final = """## Others, on the same cases

strace and bpftrace as Debian has them: `strace -f -y -v`, and a bpftrace script with the tracepoints of every call that prints
its arguments and its result. *exact*: every event with every member. *seen*: every event, but not all of it, mostly neither
inode nor position nor a path. *wrong*: another path, offset or result than it was, or an event too many. *missed*: an event is
not told. Inode and device are what a case knows of a file's identity, so a tracer without them is at best *seen*;
`resolved` and `real`, which are filetap's own, are asked of no other.
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What the document is made of."""

    verdicts: Verdicts
    titles: Mapping[str, str]
    notes: Mapping[str, str]
    """Case to the facility that it lacks, of those that cannot."""
    expected: Mapping[str, Sequence[Event]]
    kernel: str


def write(file: Path, results: Mapping[str, Sequence[Result]]) -> None:
    file.write_text(text(report(results, platform.release().split("-")[0])))


def report(results: Mapping[str, Sequence[Result]], kernel: str) -> Report:
    verdicts = {tracer: {result.case.id: result.score.verdict for result in rows} for tracer, rows in results.items()}
    rows = results["filetap"]
    notes = {result.case.id: result.score.note for result in rows if result.score.verdict == "cannot"}
    return Report(verdicts, titles([row.case for row in rows]), notes, {row.case.id: row.lines for row in rows}, kernel)


def titles(cases: Sequence[Case]) -> dict[str, str]:
    return {case.id: case.title for case in cases}


def limits() -> dict[str, Any]:
    return tomllib.loads((HERE / "limits.toml").read_text())


def text(given: Report) -> str:
    return "\n".join([*_introduction(given), *_operations(given), *_names(), *_cannot(given), *_others(given), *_cases(given)]) + "\n"


def _introduction(given: Report) -> Iterator[str]:
    count = counted(given.verdicts, "filetap")
    yield INTRODUCTION
    yield f"Linux {given.kernel}, {count.total()} cases: {_in_words({verdict: count[verdict] for verdict in VERDICTS})}.\n"


def _operations(given: Report) -> Iterator[str]:
    told = limits()
    yield HOOKS
    yield "| operation | calls | hook | fields | cases | known limits |\n|---|---|---|---|---|---|"
    for op in SYSTEM_OPS:
        calls = [call for call in SYSTEM if call.op == op]
        names = " ".join(f"{name} ({told['since'][name]})" if name in told["since"] else name for name in unique(c.name for c in calls))
        hooks = ", ".join(unique(hook(call) for call in calls))
        yield f"| `{op}` | {names} | {hooks} | {_fields(given, op)} | {_proven(given, op)} | {told['limits'][op]} |"
    yield f"\nCalls that no case has made here: {_quoted(_untried(given))}."


def _untried(given: Report) -> set[str]:
    """Of the operations on files; with the operation behind it, if the call has several."""
    tried = {(line["op"], line["call"]) for lines in given.expected.values() for line in lines if "call" in line}
    left = [call for call in SYSTEM if call.op not in PROCESSES and (call.op, call.name) not in tried]
    several = {call.name for call in SYSTEM if any(other.name == call.name and other.op != call.op for other in SYSTEM)}
    return {f"{call.name} ({call.op})" if call.name in several else call.name for call in left}


def hook(call: Call) -> str:
    """Which of the hook sets tells it."""
    if call.op in PROCESSES:
        return "call, task" if call.op == "exec" else "task"
    if call.op == "fault":
        return "fault"
    return "ring" if call.recipe else "aio" if call.name == "io_submit" else "call"


def unique(words: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _fields(given: Report, op: str) -> str:
    lines = [line for case in given.expected.values() for line in case if line["op"] == op]
    members = sorted({name for line in lines for name in line} - NOT_OF_AN_EVENT - OF_THE_FILE)
    target = ["target"] if any("target" in line for line in lines) else []
    return " ".join(members + target) or "-"


def _proven(given: Report, op: str) -> str:
    verdicts = [given.verdicts["filetap"][case] for case, lines in given.expected.items() if any(line["op"] == op for line in lines)]
    others: dict[Verdict, int] = {verdict: verdicts.count(verdict) for verdict in VERDICTS if verdict != "exact" and verdict in verdicts}
    return f"{len(verdicts)}" + (f" ({_in_words(others)})" if others else "")


def _in_words(counts: Mapping[Verdict, int]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "none"


def as_asked_for() -> tuple[set[str], set[str]]:
    """Calls told with the name that was asked for: always (unless it was empty), and only when they failed."""
    named = [call for call in SYSTEM if {"name", "to_name"} & set(call.shape.split())]
    failed = {call.name for call in named if call.op in RESOLVED_WHEN_DONE}
    return {call.name for call in named} - failed, failed


def _names() -> Iterator[str]:
    always, failed = as_asked_for()
    yield f"\n{HEADING}\n{NAMES}"
    yield f"- whatever becomes of them: {_quoted(always)}"
    yield f"- when they fail: {_quoted(failed)}; a script that was executed; io_uring's opens into the ring's own table\n"


def listed_names(document: str) -> tuple[set[str], set[str]]:
    """The calls that a document lists so: as as_asked_for() gives them."""
    section = document.partition(HEADING)[2].partition("\n## ")[0]
    always, failed = (set(re.findall(r"`([a-z_0-9:]+)`", line)) for line in re.findall(r"^- .*$", section, re.MULTILINE))
    return always, failed


def _quoted(names: set[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _cannot(given: Report) -> Iterator[str]:
    yield CANNOT
    yield "| what | missing | why |\n|---|---|---|"
    for row in limits()["cannot"]:
        yield f"| {row['what']} | {row['needs']} | {row['why']} |"
    for case, note in given.notes.items():
        yield f"| `{case}`: {_cell(given.titles[case])} | {note} | Here the case itself cannot be done, so it proves nothing. |"


def _others(given: Report) -> Iterator[str]:
    yield f"\n{OTHERS}"
    yield f"| group | what its cases differ in | cases |{''.join(f' {tracer} |' for tracer in given.verdicts)}"
    yield "|---" * (3 + len(given.verdicts)) + "|"
    for group, meaning in GROUPS.items():
        yield _group(given, group, meaning)
    yield _group(given, "", "")


def _group(given: Report, group: str, meaning: str) -> str:
    counts = [counted(given.verdicts, tracer, group) for tracer in given.verdicts]
    cells = "".join(f" {_in_words({verdict: count[verdict] for verdict in VERDICTS})} |" for count in counts)
    return f"| {group or '**all**'} | {meaning} | {counts[0].total()} |{cells}"


def _cases(given: Report) -> Iterator[str]:
    yield "\n## Every case\n"
    yield f"| case | what it does |{''.join(f' {tracer} |' for tracer in given.verdicts)}"
    yield "|---" * (2 + len(given.verdicts)) + "|"
    for case, title in given.titles.items():
        yield f"| {case} | {_cell(title)} |{''.join(f' {verdicts[case]} |' for verdicts in given.verdicts.values())}"


def replace_verdicts(given: Report, verdicts: Verdicts) -> Report:
    return replace(given, verdicts=verdicts)


def _cell(title: str) -> str:
    return title.replace("|", "\\|")


def recorded(document: str) -> tuple[str, dict[str, dict[str, Verdict]]]:
    """The kernel, and the verdicts by tracer, that a document was made from."""
    kernel = re.search(r"^Linux ([^,]+),", document, re.MULTILINE)
    head, *rows = re.findall(r"^\| (.*) \|$", document.partition("## Every case")[2], re.MULTILINE)
    tracers = head.split(" | ")[2:]
    found: dict[str, dict[str, Verdict]] = {tracer: {} for tracer in tracers}
    for row in rows:
        cells = row.split(" | ")
        for tracer, verdict in zip(tracers, cells[-len(tracers) :], strict=True):
            found[tracer][cells[0]] = cast(Verdict, verdict)
    return kernel[1] if kernel else "", found
