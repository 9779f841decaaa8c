"""Times and sizes of options; the oracles are numbers calculated by hand and Python's fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.core import units
from filetap.core.errors import UsageError

SECOND = 10**9
TIMES = {"5ns": 5, "3us": 3_000, "3µs": 3_000, "1ms": 10**6, "1.5ms": 1_500_000, ".5s": SECOND // 2, "0.25": SECOND // 4, "10": 10 * SECOND}
TIMES |= {
    "2s": 2 * SECOND,
    "5min": 300 * SECOND,
    "1.5min": 90 * SECOND,
    "6h": 21600 * SECOND,
    "7d": 604800 * SECOND,
    "2w": 1209600 * SECOND,
}


@pytest.mark.parametrize("text", TIMES)
def test_times(text: str) -> None:
    assert units.parse_time(text, "--duration") == TIMES[text]
    assert units.parse_seconds(text, "--duration") == TIMES[text] / SECOND
    assert units.is_time(text) == (not text[-1].isdigit())


@pytest.mark.parametrize(
    "text", ["", "ms", ".", "-1ms", "1 ms", "1m", "1y", "1e3", "nan", "inf", "1ms\n", "0", "0s", "0.1ns", "9" * 30 + "s"]
)
def test_no_times(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--duration "):
        units.parse_time(text, "--duration")


@given(st.integers(1, 10**12), st.sampled_from(["us", "ms", "s", "min", "h", ""]))
def test_times_are_exact(thousandths: int, unit: str) -> None:
    text = f"{thousandths // 1000}.{thousandths % 1000:03}{unit}"
    assert units.parse_time(text, "x") == Fraction(thousandths, 1000) * units.TIME_UNITS[unit]


SIZES = {"0": 0, "4096": 4096, "64K": 65536, "64k": 65536, "64KiB": 65536, "64kb": 65536, "16M": 16 << 20, "2G": 2 << 30, "1T": 1 << 40}


@pytest.mark.parametrize("text", SIZES)
def test_sizes(text: str) -> None:
    assert units.parse_size(text, "--ring-size") == SIZES[text]
    assert not units.is_time(text)


@pytest.mark.parametrize("text", ["", "K", "-1", "1.5M", "1P", "1 M", "0x10", "64Ki", "1M\n"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--ring-size "):
        units.parse_size(text, "--ring-size")
