"""Times in a zone, printed and parsed: against date(1), and across a change to winter time."""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Callable, Iterator

import duckdb
import pytest

from filetap.analysis.timezone import offset_in, set_zone
from filetap.core.batch import Overflow
from filetap.core.errors import UsageError
from filetap.core.zone import SECOND, Zone, parse, range_of
from filetap.sinks.table import TableSink
from tests.unit.batches import batch_of

MOMENT = 1_795_215_600 * SECOND + 123_456_789
"""2026-11-20 23:00:00.123456789 UTC."""
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
"""Written without a table of zones."""
CHANGE = 1_824_944_400
"""2027-10-31 01:00 UTC: clocks in Berlin go from 3 to 2."""
ZONES = ["UTC0", "<+0545>-5:45", "NST3:30", BERLIN, "<-11>11"]


@pytest.fixture
def zone() -> Iterator[Callable[[str], None]]:
    """Set TZ, until the end of the test."""
    with pytest.MonkeyPatch.context() as patch:

        def choose(name: str) -> None:
            patch.setenv("TZ", name)
            time.tzset()

        yield choose
    time.tzset()


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("second", [MOMENT // SECOND, CHANGE - 1, CHANGE, 0])
def test_it_prints_what_date_prints(zone: Callable[[str], None], name: str, second: int) -> None:
    zone(name)
    shown = subprocess.run(["date", "-d", f"@{second}", "+%F %T%:z"], capture_output=True, text=True, check=True, env={"TZ": name})
    assert Zone().text(second * SECOND, 0) == shown.stdout.strip()
    assert Zone(utc=True).text(second * SECOND, 0).endswith("+00:00")


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("utc", [False, True])
@pytest.mark.parametrize("digits", [0, 3, 6, 9])
def test_printed_times_can_be_parsed(zone: Callable[[str], None], name: str, utc: bool, digits: int) -> None:
    zone(name)
    here, width = Zone(utc), 10 ** (9 - digits)
    start = MOMENT // width * width
    text = here.text(MOMENT, digits)
    for shown in (text, text.replace(" ", "T"), text[:-6]):
        assert parse(shown, "--since", here, 0) == (start, start + width)
    assert parse(text, "--since", Zone(not utc), 0) == (start, start + width), "its zone is in it"
    if digits == 3:
        assert parse(here.fixed(MOMENT // SECOND).clock(MOMENT), "--since", here, MOMENT - 60 * SECOND) == (start, start + width)


def test_a_time_of_day_is_the_first_after_the_beginning() -> None:
    utc, hour = Zone(utc=True), 3600 * SECOND
    began = MOMENT // SECOND * SECOND  # 23:00
    assert parse("23:00", "--since", utc, began)[0] == began
    assert parse("23:30:00", "--since", utc, began)[0] == began + hour // 2
    assert parse("01:00", "--since", utc, began)[0] == began + 2 * hour, "the next day"
    assert parse("01:00+01:00", "--since", utc, began)[0] == began + hour
    assert range_of("23:00:30", "00:10", utc, began) == (began + 30 * SECOND, began + hour + 11 * 60 * SECOND)
    assert range_of(None, None, utc, began) is None
    assert range_of("2026-11-20", "2026-11-20", utc, began) == (began - 23 * hour, began + hour), "all of the day"


@pytest.mark.parametrize("text", ["", "x", "25:00", "2026-02-30", "2026-11-20 23", "23:00 MARS", "10s", "+05:30"])
def test_invalid_times(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        parse(text, "--since", Zone(), 0)


def test_the_end_is_after_the_beginning() -> None:
    with pytest.raises(UsageError, match="is after"):
        range_of("2026-11-21", "2026-11-20", Zone(), 0)


@pytest.mark.parametrize("name", [*ZONES, "Asia/Kolkata", ":Europe/Berlin", "America/St_Johns", "Nowhere/None", ""])
def test_sql_has_the_zone_of_the_system(zone: Callable[[str], None], name: str) -> None:
    zone(name)
    with duckdb.connect() as connection:
        set_zone(connection, Zone(), [MOMENT // SECOND])
        assert offset_in(connection, MOMENT // SECOND) == time.localtime(MOMENT // SECOND).tm_gmtoff
        set_zone(connection, Zone(utc=True), [MOMENT // SECOND])
        assert offset_in(connection, MOMENT // SECOND) == 0


def table(moments: list[int], overflow: int | None = None, utc: bool = False) -> list[list[str]]:
    raw = io.BytesIO()
    sink = TableSink(raw, zone=Zone(utc))
    batch = batch_of(*({"time": moment - batch_of().realtime} for moment in moments))
    if moments:
        sink.write(batch)
    if overflow is not None:
        sink.aggregated(
            [Overflow(task=0, file=0, op=1, count=2, bytes=0, first=overflow - batch.realtime, last=overflow - batch.realtime)], batch_of()
        )
    sink.finish()
    return [line.split()[:2] for line in raw.getvalue().decode().splitlines()]


def test_the_heading_of_a_table_names_the_zone(zone: Callable[[str], None]) -> None:
    zone("<+0545>-5:45")
    assert table([MOMENT])[0] == ["TIME", "+05:45"]
    assert table([MOMENT])[1][0] == "04:45:00.123"
    assert [line[0] for line in table([], MOMENT)] == ["TIME", "04:45:00.123"]
    assert (table([MOMENT], utc=True)[0], table([MOMENT], utc=True)[1][0]) == (["TIME", "UTC"], "23:00:00.123")


def test_one_heading_applies_to_all_its_lines(zone: Callable[[str], None]) -> None:
    """A recording from before to after the change has the offset of its first event throughout."""
    zone(BERLIN)
    (_, name), *lines = table([(CHANGE - 1) * SECOND, CHANGE * SECOND])
    assert (name, [line[0] for line in lines]) == ("+02:00", ["02:59:59.000", "03:00:00.000"])
