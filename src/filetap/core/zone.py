"""The time zone of a command: absolute times are printed and read in it, and always with its name.

Separate from clock.py, which handles the kernel's clock. analysis/timezone.py sets the zone in DuckDB.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Final

from filetap.core.errors import UsageError

SECOND: Final = 10**9
DAY: Final = timedelta(days=1)
LOCALTIME: Final = Path("/etc/localtime")
FOLDER: Final = "/zoneinfo/"
_MOMENT: Final = re.compile(
    r"(?:(\d{4}-\d\d-\d\d)(?:[T ]+(?=\d))?)?(?:(\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?)? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_HELP: Final = "give a time such as 2026-11-30 14:53:01.123+01:00, 2026-11-30 or 14:53 (without a zone: the zone that is printed)"


class Zone:
    """The local zone, or UTC (``--utc``)."""

    def __init__(self, utc: bool = False) -> None:
        self.utc = utc

    def at(self, second: int) -> datetime:
        """Return the second since 1970 in this zone."""
        moment = datetime.fromtimestamp(second, UTC)
        return moment if self.utc else moment.astimezone()

    def fixed(self, second: int) -> Fixed:
        """Return this zone with its offset of that moment, for a column whose heading names it."""
        return Fixed(self.at(second).utcoffset() or timedelta())

    def text(self, nanoseconds: int, digits: int) -> str:
        """Return a moment with this number of decimals and its offset."""
        moment = self.at(nanoseconds // SECOND)
        return f"{moment:%Y-%m-%d %H:%M:%S}{decimals(nanoseconds, digits)}{offset(moment.utcoffset() or timedelta())}"

    def of(self, naive: datetime) -> datetime:
        """Return the moment at which a clock in this zone shows this time."""
        return naive.replace(tzinfo=UTC) if self.utc else naive.astimezone()


class Fixed:
    """A constant offset, so that the name above a column is right for all its times."""

    def __init__(self, difference: timedelta) -> None:
        self._zone = timezone(difference)
        self.name = offset(difference) if difference else "UTC"

    def at(self, second: int) -> datetime:
        return datetime.fromtimestamp(second, self._zone)

    def clock(self, nanoseconds: int) -> str:
        """Return the time of day, with milliseconds."""
        return f"{self.at(nanoseconds // SECOND):%H:%M:%S}{decimals(nanoseconds, 3)}"


def offset(difference: timedelta) -> str:
    """Return an offset from UTC as ``+05:30``."""
    minutes = round(difference.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def decimals(nanoseconds: int, digits: int) -> str:
    """Return the fraction of the second, cut, with its point."""
    return f".{nanoseconds % SECOND:09}"[: digits + 1] if digits else ""


def names() -> Iterator[str]:
    """Yield the names that the local zone may have in the IANA database: of TZ, or else of /etc/localtime."""
    given = os.environ.get("TZ")
    if given is None:
        given = os.path.realpath(LOCALTIME)
    yield given.removeprefix(":").rpartition(FOLDER)[2]


def range_of(since: str | None, until: str | None, zone: Zone, began: int) -> tuple[int, int] | None:
    """Return --since and --until in ns since 1970, the end exclusive; None: neither is given. ``began``: for times without a date."""
    if since is None and until is None:
        return None
    start = parse(since, "--since", zone, began)[0] if since is not None else 0
    end = parse(until, "--until", zone, max(began, start))[1] if until is not None else (1 << 63) - 1
    if start >= end:
        raise UsageError(f"--since {since} is after --until {until}")
    return start, end


def parse(text: str, option: str, zone: Zone, after: int) -> tuple[int, int]:
    """Return the first and the last ns, exclusive, of the time in the text: ``14:53:01.123`` is a whole millisecond.

    Without a date it is the first such moment that does not end before ``after``, ns since 1970. Raise UsageError for other
    texts.
    """
    match = _MOMENT.fullmatch(text.strip())
    if not match or not (match[1] or match[2]):
        raise UsageError(f"{option} {text}: {_HELP}")
    day, clock, fraction, name = match.groups()
    width = 10 ** (9 - len(fraction)) if fraction else SECOND * (1 if clock and clock.count(":") == 2 else 60 if clock else 86400)
    try:
        where = _named(name) if name else None
        of_day = time.fromisoformat(clock or "00:00")
        days = [datetime.fromisoformat(day)] if day else _days(after, where or zone.at(after // SECOND).tzinfo)
        moments = [datetime.combine(one, of_day) for one in days]
        aware = [one.replace(tzinfo=where) if where else zone.of(one) for one in moments]
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text}: there is no such time") from None
    starts = [round(one.timestamp()) * SECOND + int((fraction or "").ljust(9, "0")) for one in aware]
    start = next((start for start in starts if start + width > after), starts[-1])
    return start, start + width


def _named(name: str) -> tzinfo:
    if name in ("Z", "UTC"):
        return UTC
    return timezone(timedelta(hours=int(name[1:3]), minutes=int(name[3:].lstrip(":") or 0)) * (-1 if name[0] == "-" else 1))


def _days(after: int, where: tzinfo | None) -> list[datetime]:
    """Return the day of a moment and the next one."""
    today = datetime.fromtimestamp(after // SECOND, where).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    return [today, today + DAY]
