"""Rates of the last interval next to totals, a row for each group.

Separate from summary.py, which has no intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from filetap.analysis.summary import figures, group

RATES: Final = {"rate": "count", "bytes/s": "bytes", "errors/s": "errors"}
"""Column, and the sum that it is computed from."""
LATENCIES: Final = ("p50", "p99")
"""Of the interval."""
TOTALS: Final = ("count", "errors", "bytes")
COLUMNS: Final = (*RATES, *LATENCIES, *TOTALS)


def rates(interval: pa.Table, totals: pa.Table, keys: Sequence[str], seconds: float) -> pa.Table:
    """Return ``keys``, ``others``, then COLUMNS. Both tables have ``keys``, ``others`` and the sums of analysis/summary.py.
    If a group is missing in the totals, because there were too many, its total is at least that of the interval."""
    both = pa.concat_tables([interval, totals]).combine_chunks()
    groups, heads = group(both, keys)
    now = figures(both.slice(0, len(interval)), groups[: len(interval)], len(heads) + 1)
    ever = figures(both.slice(len(interval)), groups[len(interval) :], len(heads) + 1)
    names = both.select(list(keys)).take(pa.array(heads)).combine_chunks()
    columns = {name: pa.concat_arrays([*names[name].chunks, pa.nulls(1, names[name].type)]) for name in keys}
    columns["others"] = pa.array(np.arange(len(heads) + 1) == len(heads))
    columns |= {name: pc.divide(now[sum_].cast(pa.float64()), seconds) for name, sum_ in RATES.items()}
    columns |= {name: now[name] for name in LATENCIES} | {name: pc.max_element_wise(ever[name], now[name]) for name in TOTALS}
    whole = pa.table(columns)
    return whole.filter(pc.greater(whole["count"], 0))


def chosen(table: pa.Table, keys: Sequence[str], text: bytes, sort: str, reverse: bool = False) -> pa.Table:
    """Return the rows with ``text`` in one of their keys, ignoring case, those with the most of ``sort`` first; unknown
    values and the others last."""
    if text:
        table = table.filter(pa.array(matching(table, keys, text)))
    value = pc.fill_null(table[sort].cast(pa.float64()), -1).to_numpy()
    count, others = table["count"].to_numpy(), table["others"].to_numpy(zero_copy_only=False)
    order = np.lexsort((-count, value if reverse else -value, value < 0, others))
    return table.take(pa.array(order))


def matching(table: pa.Table, keys: Sequence[str], text: bytes) -> NDArray[np.bool_]:
    found = np.zeros(len(table), bool)
    for name in keys:
        column = table[name] if pa.types.is_binary(table[name].type) else table[name].cast(pa.string()).cast(pa.binary())
        hit = pc.match_substring(column, text, ignore_case=True)
        found |= pc.fill_null(hit, False).to_numpy(zero_copy_only=False)
    return found


def whole(table: pa.Table) -> dict[str, float]:
    """Return the sum of each rate and total."""
    return {name: pc.sum(table[name]).as_py() or 0 for name in (*RATES, *TOTALS)}
