"""The cost of tracing for traced and untraced processes and for the kernel; and whether events are lost at full speed.

Separate from user_side.py, which measures filetap's own process. Ratios are pair by pair, in alternating order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from statistics import median
from typing import Any, Final

from bench.lab import Lab
from bench.programs import attached, counted, run_time, under_floor
from bench.table import Row
from bench.workloads import Outcome, Statistics, alone, traced, tracing, watching
from filetap.selection.targets import cgroup_root

NONE: Final = ("-f", "none")
UNTIMED: Final = ("-f", "none", "--no-latency")
EMPTY_EXIT: Final = partial(attached, "empty", ["empty_exit"])
EMPTY_BOTH: Final = partial(attached, "empty", ["empty_exit", "empty_enter"])
FOUR: Final = partial(Lab.preads, threads=4)


def run_time_of_programs(lab: Lab) -> Iterator[Row]:
    """Measure nanoseconds per delivered event, filetap's divided by the floor's."""
    words = lab.preads()
    with counted():
        pairs = list(lab.alternate(partial(_floor_per_event, words), partial(_per_event, UNTIMED, "delivered", words)))
    floor, ours = zip(*pairs, strict=True)
    note = f"ours {_range(ours)}, floor {_range(floor)} ns"
    yield Row("programs' run time per event / floor's, pread, --no-latency", [own / least for least, own in pairs], 1.45, note=note)


def _floor_per_event(words: Sequence[str]) -> float:
    run = under_floor(words)
    return run.run_time / max(run.events, 1)


def _per_event(options: Sequence[str], column: str, words: Sequence[str]) -> float:
    with tracing(*options) as tracer:
        before = run_time(tracer.pid)
        tracer.run(words)
        spent = run_time(tracer.pid) - before
        return spent / max(tracer.finish().total(column), 1)


def run_time_of_sums(lab: Lab) -> Iterator[Row]:
    """Measure nanoseconds per event that is summed up in the kernel, divided by that of an emitted one."""
    words = lab.preads()
    stream, sums = partial(_per_event, UNTIMED, "delivered", words), partial(_per_event, ("--summary", "--no-latency"), "aggregated", words)
    with counted():
        pairs = list(lab.alternate(stream, sums))
    streamed, summed = zip(*pairs, strict=True)
    note = f"aggregated {_range(summed)}, delivered {_range(streamed)} ns"
    yield Row("programs' run time per event, aggregated / delivered, pread, --no-latency", [s / e for e, s in pairs], note=note)


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.0f}-{max(values):.0f}"


def slow_down(figure: str, options: Sequence[str], words: Callable[[Lab], list[str]], limit: float, lab: Lab) -> Iterator[Row]:
    """Measure the slow-down of the traced workload, by its own clock."""
    chosen = words(lab)
    pairs = list(lab.alternate(partial(alone, chosen), partial(traced, options, chosen)))
    missing = sum(stats.missing for _, (_, stats) in pairs)
    yield Row(
        figure,
        [outcome.ns / plain.ns for plain, (outcome, _) in pairs],
        limit,
        note=_untraced([plain for plain, _ in pairs]) + (f"; {missing} EVENTS NOT DELIVERED" if missing else ""),
    )


def added_cost(figure: str, options: Sequence[str], words: Callable[[Lab], list[str]], limit: float, lab: Lab) -> Iterator[Row]:
    """Measure what tracing adds to the workload, divided by what the floor adds in the same round: how fast the processor is, and how
    much the kernel's own tracepoint costs there, cancels."""
    chosen = words(lab)
    rounds = list(lab.in_turn(partial(alone, chosen), lambda: under_floor(chosen).outcome, partial(traced, options, chosen)))
    missing = sum(stats.missing for _, _, (_, stats) in rounds)
    slow_downs = [(floor.ns / plain.ns, outcome.ns / plain.ns) for plain, floor, (outcome, _) in rounds]
    note = "slow-down " + ", ".join(f"{name} {median(one[at] for one in slow_downs):.3f}" for at, name in enumerate(("floor", "ours")))
    yield Row(
        figure,
        [(own - 1) / (floor - 1) for floor, own in slow_downs],
        limit,
        note=note + (f"; {missing} EVENTS NOT DELIVERED" if missing else ""),
    )


def _untraced(outcomes: Sequence[Outcome]) -> str:
    """Return the range of untraced runs: its spread shows the machine's noise."""
    costs = [outcome.ns / outcome.calls for outcome in outcomes]
    return f"untraced {min(costs):.0f}-{max(costs):.0f} ns a round"


def untraced_slow_down(
    figure: str,
    presence: Callable[[], AbstractContextManager[Any]],
    limit: float | None,
    lab: Lab,
    words: Callable[[Lab], list[str]] = Lab.preads,
) -> Iterator[Row]:
    """Measure the slow-down of an untraced workload, while something is attached."""
    chosen = words(lab)
    pairs = list(lab.alternate(partial(alone, chosen), partial(_with, presence, chosen)))
    yield Row(figure, [other.ns / plain.ns for plain, other in pairs], limit, note=_untraced([plain for plain, _ in pairs]))


def _with(presence: Callable[[], AbstractContextManager[Any]], words: Sequence[str]) -> Outcome:
    with presence():
        return alone(words)


def untraced_slow_down_by_cgroups(lab: Lab) -> Iterator[Row]:
    """Measure what an untraced workload pays when ten thousand cgroups are targets, compared with a trace of one command."""
    words = lab.preads()
    with cgroups(10_000) as path:
        pairs = list(
            lab.alternate(partial(_with, partial(tracing, *NONE), words), partial(_with, partial(tracing, *NONE, "--cgroup", path), words))
        )
    figure = "untraced pread loop, 10,000 cgroups traced / none"
    yield Row(figure, [many.ns / none.ns for none, many in pairs], 1.05)


@contextmanager
def cgroups(count: int) -> Iterator[str]:
    """Create a cgroup with so many below it, a hundred in each; they are removed at the end."""
    top = cgroup_root() / f"filetap-bench-{os.getpid()}"
    try:
        for number in range(count):
            (top / str(number // 100) / str(number)).mkdir(parents=True)
        yield str(top)
    finally:
        for path, _, _ in os.walk(top, topdown=False):
            os.rmdir(path)


def floor_slow_down(lab: Lab) -> Iterator[Row]:
    """Measure the cost that any tracer on a BPF ring has here."""
    words = lab.preads()
    pairs = lab.alternate(partial(alone, words), lambda: under_floor(words).outcome)
    yield Row("for comparison: slow-down, pread loop, by the floor alone", [other.ns / plain.ns for plain, other in pairs])


def everything_delivered(
    figure: str, options: Sequence[str], words: Callable[[Lab, int], list[str]], count: int, lab: Lab
) -> Iterator[Row]:
    """Compare counts and bytes with the workload's own; a run of none shows what its start adds to them."""
    extra = traced(options, words(lab, 0))[1]
    outcome, stats = traced(options, words(lab, count))
    yield Row(figure, [differing(stats, outcome, extra)], 0, "events", note=_rate(outcome, stats, extra))


def differing(stats: Statistics, outcome: Outcome, extra: Statistics) -> int:
    """Return the events that are not delivered, or the difference of an op's count or of the bytes. ``extra``: of the
    workload's start."""
    moved = sum(stats.op(op)["bytes"] - extra.op(op)["bytes"] for op in outcome.ops)
    return max(stats.missing, unmoved(moved, outcome), *(abs(count) for count in _differences(stats, outcome, extra).values()))


def _differences(stats: Statistics, outcome: Outcome, extra: Statistics) -> dict[str, int]:
    """Return the surplus of events, by op."""
    return {op: stats.op(op)["delivered"] - extra.op(op)["delivered"] - count for op, count in outcome.ops.items()}


def unmoved(moved: int, outcome: Outcome) -> int:
    """Return the difference of the bytes from the workload's own, in calls."""
    each = outcome.bytes // max(outcome.calls, 1) or 1
    return -(-abs(moved - outcome.bytes) // each)


def _rate(outcome: Outcome, stats: Statistics, extra: Statistics) -> str:
    total = {name: stats.total(name) for name in ("seen", "delivered", "aggregated", "lost")}
    counts = ", ".join(f"{count:,} {name}" for name, count in total.items())
    wrong = "".join(f"; {op} {count:+,}" for op, count in _differences(stats, outcome, extra).items() if count)
    return f"{counts}; {outcome.events / outcome.ns * 1e3:.2f} M/s{wrong}"


def execs(lab: Lab) -> list[str]:
    return lab.execs(6_000)


def opens(threads: int) -> Callable[[Lab], list[str]]:
    return lambda lab: lab.opens(120 if threads == 1 else 90, threads)


MEASURES: Final[dict[str, Callable[[Lab], Iterator[Row]]]] = {
    "exact-pread1": partial(
        everything_delivered, "preads by one thread at full speed: not delivered or differing", NONE, Lab.preads, 3_000_000
    ),
    "exact-pread4": partial(everything_delivered, "preads by four threads at full speed: the same", NONE, FOUR, 3_000_000),
    "exact-pread1-untimed": partial(everything_delivered, "preads by one thread, --no-latency: the same", UNTIMED, Lab.preads, 3_000_000),
    "exact-pread4-untimed": partial(everything_delivered, "preads by four threads, --no-latency: the same", UNTIMED, FOUR, 3_000_000),
    "kernel": run_time_of_programs,
    "sums": run_time_of_sums,
    "slow-orc1-untimed": partial(slow_down, "slow-down, open/read/close, 1 thread, --no-latency", UNTIMED, opens(1), 1.5),
    "slow-orc4-untimed": partial(slow_down, "slow-down, open/read/close, 4 threads, --no-latency", UNTIMED, opens(4), 1.5),
    "added-pread-untimed": partial(added_cost, "added cost / floor's, pread loop, --no-latency", UNTIMED, Lab.preads, 1.3),
    "slow-orc1": partial(slow_down, "slow-down, open/read/close, 1 thread, with latency", NONE, opens(1), 1.6),
    "slow-orc4": partial(slow_down, "slow-down, open/read/close, 4 threads, with latency", NONE, opens(4), 1.6),
    "added-pread": partial(added_cost, "added cost / floor's, pread loop, with latency", NONE, Lab.preads, 1.6),
    "slow-pread-open": partial(slow_down, "slow-down, pread loop, -e open", (*NONE, "-e", "open"), Lab.preads, 1.1),
    "slow-pread-open-untimed": partial(slow_down, "slow-down, pread loop, -e open --no-latency", (*UNTIMED, "-e", "open"), Lab.preads, 1.1),
    "slow-floor": floor_slow_down,
    "untraced": partial(untraced_slow_down, "untraced pread loop, with latency", partial(tracing, *NONE), 1.25),
    "untraced-untimed": partial(untraced_slow_down, "untraced pread loop, --no-latency", partial(tracing, *UNTIMED), 1.15),
    "untraced-open": partial(untraced_slow_down, "untraced pread loop, -e open", partial(tracing, *NONE, "-e", "open"), 1.1),
    "untraced-open-untimed": partial(
        untraced_slow_down, "untraced pread loop, -e open --no-latency", partial(tracing, *UNTIMED, "-e", "open"), 1.1
    ),
    "untraced-cgroups": untraced_slow_down_by_cgroups,
    "untraced-watch": partial(untraced_slow_down, "untraced open/read/close, ten files watched", watching, 1.15, words=opens(1)),
    "untraced-watch-latency": partial(
        untraced_slow_down,
        "untraced open/read/close, ten files watched, --latency",
        partial(watching, "--latency"),
        None,
        words=opens(1),
    ),
    "untraced-watch-empty": partial(
        untraced_slow_down, "for comparison: open/read/close with an empty program at sys_exit", EMPTY_EXIT, None, words=opens(1)
    ),
    "untraced-exec": partial(untraced_slow_down, "untraced fork+exec, -e open", partial(tracing, *NONE, "-e", "open"), None, words=execs),
    "untraced-exec-args": partial(
        untraced_slow_down, "untraced fork+exec, -e open --args", partial(tracing, *NONE, "-e", "open", "--args"), None, words=execs
    ),
    "untraced-exec-ancestors": partial(
        untraced_slow_down,
        "untraced fork+exec, -e open --ancestors",
        partial(tracing, *NONE, "-e", "open", "--ancestors"),
        None,
        words=execs,
    ),
    "untraced-empty-exit": partial(untraced_slow_down, "for comparison: with an empty program at sys_exit", EMPTY_EXIT, None),
    "untraced-empty-both": partial(untraced_slow_down, "for comparison: with empty ones at sys_enter and sys_exit", EMPTY_BOTH, None),
}
"""Name for ``-k`` to measure, in the table's order."""
