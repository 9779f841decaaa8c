"""Sets a command's time zone in DuckDB, which has its own tables of zones; and the range of --since and --until as SQL.

Separate from sql.py, which defines the views.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import duckdb

from filetap.core import zone as zones
from filetap.core.zone import Zone

HALF_YEAR: Final = 182 * 86400
"""Seconds. A zone with summer time has another offset then."""
LATEST: Final = (1 << 63) - 2
"""ns since 1970; DuckDB's infinity is the next."""
TIMES: Final = {"events": ("ts", "ts"), "pending": ("ts", "ts"), "aggregated": ("first", "last")}
"""First and last time of a row, by table."""


def set_zone(connection: duckdb.DuckDBPyConnection, zone: Zone, seconds: Sequence[int]) -> None:
    """Set DuckDB's zone. Where it does not have the system's, the offset of the last of ``seconds`` since 1970 is set."""
    moments = [second + later for second in seconds for later in (0, HALF_YEAR)]
    for name in candidates(zone, seconds[-1]):
        with suppress(duckdb.Error):
            connection.execute(f"SET TimeZone = '{name}'")
            if all(offset_in(connection, second) == offset_of(zone, second) for second in moments):
                return


def candidates(zone: Zone, second: int) -> Iterator[str]:
    """Yield names, the best first; the last one is always valid."""
    if not zone.utc:
        yield from (name.replace("'", "''") for name in zones.names())
    fixed = zone.fixed(second).name
    yield "UTC" if fixed == "UTC" else f"GMT{fixed}"


def offset_in(connection: duckdb.DuckDBPyConnection, second: int) -> int:
    """Return the offset from UTC that DuckDB has, in seconds."""
    rows: list[tuple[int]] = connection.execute(f"SELECT extract(timezone FROM make_timestamptz({second * 10**6}))").fetchall()
    return rows[0][0]


def offset_of(zone: Zone, second: int) -> int:
    """Return the offset from UTC that the system has, in seconds."""
    difference = zone.at(second).utcoffset()
    return round(difference.total_seconds()) if difference else 0


def chosen(table: str, within: tuple[int, int] | None) -> str:
    """Return the condition for the rows of a table within the range: from the first to before the second, ns since 1970."""
    if not within or table not in TIMES:
        return ""
    first, last = TIMES[table]
    start, end = (f"make_timestamp_ns({min(bound, LATEST)}) AT TIME ZONE 'UTC'" for bound in within)
    return f"WHERE {first} >= {start} AND {last} < {end}"
