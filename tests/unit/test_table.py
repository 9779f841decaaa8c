"""The table sink against a simple writer of one event at a time, and against names with control characters.

Separate from the tests of NDJSON, because here the effect on a terminal counts.
"""

from __future__ import annotations

import io
import re
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filetap.core import wire
from filetap.core.batch import File, Overflow
from filetap.core.calls import CALL_NUMBER, CALLS, OP_NUMBER
from filetap.sinks.table import TableSink
from tests.unit.table_oracle import CLOSE, EVENTS, FILE, OPENAT, READ, SHOWN, TASK, batch_of, deliver, expected, lines_of, output_of

SGR: Final = re.compile(rb"\x1b\[[0-9;]*m")
ESCAPED: Final = re.compile(rb"\\(\\|n|t|r|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


@pytest.fixture(autouse=True, scope="module")
def zone() -> Iterator[None]:
    """Kathmandu's zone, far from Greenwich, so that a missing conversion shows; written without a table of zones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "<+0545>-5:45")
        time.tzset()
        yield
    time.tzset()


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=20))
def test_a_line_equals_the_slow_writers(rows: list[dict[str, int]]) -> None:
    batch = batch_of(*rows)
    assert lines_of(batch) == expected(batch)


def test_more_events_than_one_part() -> None:
    batch = batch_of(*[{"time": n * 10**8, "call": n % len(CALLS), "offset": n, "result": n % 5 - 2} for n in range(5000)])
    assert lines_of(batch) == expected(batch)


def test_the_header_comes_once_and_the_columns_are_below_it() -> None:
    raw = io.BytesIO()
    sink = TableSink(raw)
    deliver(sink, batch_of())
    for row in (
        {"call": READ, "fd": 3, "offset": 4096, "size": 131072, "result": 131072, "duration": 41234},
        {"call": OPENAT, "result": -2},
    ):
        deliver(sink, batch_of(row))
    header, *lines = raw.getvalue().decode().splitlines()
    assert header.split() == ["TIME", "+05:45", "PID", "COMM", "CALL", "FD", "RESULT", "OFFSET", "SIZE", "TOOK", "PATH"]
    assert [line.index("/etc/hostname") for line in lines] == [header.index("PATH")] * 2
    assert header.index("PATH") < 80
    for name, values in {"FD": "3 -", "RESULT": "131072 ENOENT", "OFFSET": "4096 -", "SIZE": "128K -", "TOOK": "41us -"}.items():
        end = header.index(name) + len(name)
        assert [line[:end].split()[-1] for line in lines] == values.split()


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        (0, "-"),
        (1, "1ns"),
        (999, "999ns"),
        (1000, "1.0us"),
        (4199, "4.1us"),
        (9_999, "9.9us"),
        (10_000, "10us"),
        (99_999, "99us"),
        (100_000, "100us"),
        (999_999, "999us"),
        (2_300_000, "2.3ms"),
        (4_294_967_295, "4.2s"),
    ],
)
def test_latencies(duration: int, shown: str) -> None:
    assert lines_of(batch_of({"call": READ, "duration": duration}))[0].split()[8] == shown


@pytest.mark.parametrize("name", SHOWN)
def test_long_names_of_calls_keep_the_columns(name: str) -> None:
    line = lines_of(batch_of({"call": CALL_NUMBER[name], "fd": 3}))[0]
    assert line[32:].startswith(f"{SHOWN[name]:15}   3 ")
    assert line.index("/etc/hostname") == 79


def test_two_files_and_no_result() -> None:
    files = [FILE, File(2, b"/new", resolved=False), File(3, b"", inode=7)]
    rows: list[dict[str, int]] = [
        {"call": CALL_NUMBER["rename"], "target": 2},
        {"call": CALL_NUMBER["sendfile"], "target": 3, "file": 2, "result": 10**9, "size": 2**20 + 1, "offset": 123456},
        {"call": CALL_NUMBER["page_fault_user"], "flags": wire.FAULT_WRITE | wire.FAULT_MAJOR, "size": 2**46},
        {"call": CALL_NUMBER["mmap"], "argument": 5 | 1 << 8, "size": 4096, "result": 2**46},
    ]
    ends = [line[47:] for line in lines_of(batch_of(*rows, files=files))]
    assert ends == [
        "   -       0      -     -     - /etc/hostname -> /new",
        "   -   953M+ 123456   1M+     - /new -> (inode 7)",
        "   -   major      0 write     - /etc/hostname",
        "   -    r-xs      0  4096     - /etc/hostname",
    ]


# Names


def unescaped(text: str) -> bytes:
    """Undo the escapes."""

    def one(found: re.Match[bytes]) -> bytes:
        code = found[1].decode()
        if code[0] == "x":
            return bytes([int(code[1:], 16)])
        return chr(int(code[1:], 16)).encode() if code[0] in "uU" else {"n": b"\n", "t": b"\t", "r": b"\r", "\\": b"\\"}[code]

    return ESCAPED.sub(one, text.encode())


def assert_harmless(output: bytes) -> None:
    text = output.decode()
    assert all(character == "\n" or character.isprintable() for character in text)
    assert not set(output) & {*range(0x0A), *range(0x0B, 0x20), 0x7F}
    assert not any(unicodedata.category(character) in ("Cc", "Cf") for character in text if character != "\n")


NAMES: Final = st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode(errors="surrogatepass"))


@settings(max_examples=300, deadline=None)
@given(NAMES, NAMES)
@example(b"a\nb\x1b[2J\x7f\xc2\x9b1m\xe2\x80\xae\\x41\xff\x9b\r\t", b"\x1b]0;title\x07")
@example("\u202e\u2066\u200f\ufeff\u2028\u00a0\ue000".encode(), "字字字字字字字".encode())
def test_names_cannot_move_the_cursor(path: bytes, comm: bytes) -> None:
    batch = batch_of({"call": CLOSE}, {"call": CLOSE}, files=[replace(FILE, path=b"/" + path)], tasks=[replace(TASK, comm=comm)])
    output = output_of(batch)
    assert_harmless(output)
    assert output.count(b"\n") == 3
    shown = lines_of(batch)[0]
    assert unescaped(shown[shown.index(" /") + 1 :] if " /" not in comm.decode(errors="replace") else shown).endswith(b"/" + path)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a b", "a b"),
        (b"a\nb\tc\rd", r"a\nb\tc\rd"),
        (b"\x1b[31m\x07\x7f\0", r"\x1b[31m\x07\x7f\x00"),
        (b"back\\slash", r"back\\slash"),
        ("\u202e\u2067\u009b\u2028".encode(), r"\u202e\u2067\u009b\u2028"),
        ("\U000e0041".encode(), r"\U000e0041"),
        (b"\xff\x9b\xed\xa0\x80", r"\xff\x9b\xed\xa0\x80"),
        ("größe/文件/🎉".encode(), "größe/文件/🎉"),
    ],
)
def test_escapes(name: bytes, shown: str) -> None:
    assert lines_of(batch_of({"call": CLOSE}, files=[replace(FILE, path=b"/" + name)]))[0].endswith(f" /{shown}")


@pytest.mark.parametrize(
    ("comm", "shown"),
    [
        (b"systemd-journal", "systemd-j+"),
        (b"python3.11", "python3.11"),
        ("文件文件".encode(), "文件文件  "),
        ("文" * 7, "文文文文+ "),
    ],
)
def test_long_and_wide_names_of_commands_keep_the_columns(comm: bytes | str, shown: str) -> None:
    raw = comm if isinstance(comm, bytes) else comm.encode()
    assert f"     77 {shown} close " in lines_of(batch_of({"call": CLOSE}, tasks=[replace(TASK, comm=raw)]))[0]


def test_marks_precede_the_path_so_that_no_name_can_fake_them() -> None:
    known = [
        replace(FILE, deleted=True),
        replace(FILE, path=b"/x (deleted)"),
        replace(FILE, truncated=True, raced=True),
        File(1, b"", resolved=False, inode=5),
    ]
    ends = [lines_of(batch_of({"call": CLOSE}, files=[file]))[0].rpartition("- ")[2] for file in known]
    assert ends == ["(deleted) /etc/hostname", "/x (deleted)", "(cut, raced) /etc/hostname", "(inode 5)"]


def test_an_unresolved_name_is_shown_as_requested() -> None:
    """Not as (inode 0): there is no such file."""
    files = [
        File(1, b"", resolved=False, requested=b"none"),
        File(2, b"/mnt", resolved=False),
        File(3, b"", resolved=False),
        File(4, b"", resolved=False, requested=b"\x1b(x"),
    ]
    rows = [{"call": CALL_NUMBER["mount"], "file": number, "target": 2} for number in (1, 3, 4)]
    ends = [line.rpartition("- ")[2] for line in (text.replace("->", "to") for text in lines_of(batch_of(*rows, files=files)))]
    assert ends == ["(as given) none to /mnt", "(no name) to /mnt", "(as given) \\x1b(x to /mnt"]


# Colours and aggregated rows


@settings(max_examples=50, deadline=None)
@given(st.lists(EVENTS, max_size=20))
def test_colours_change_nothing_but_colours(rows: list[dict[str, int]]) -> None:
    batch = batch_of(*rows)
    assert SGR.sub(b"", output_of(batch, colour=True)) == output_of(batch)


def test_errors_are_red_and_no_colour_runs_on() -> None:
    good, bad = output_of(batch_of({"call": READ}, {"call": READ, "result": -2}), colour=True).splitlines()[1:]
    assert b"\x1b[31mENOENT\x1b[0m" in bad
    assert b"\x1b[31m" not in good
    assert [SGR.findall(line)[-1] for line in (good, bad)] == [b"\x1b[0m"] * 2


def test_an_aggregated_row_is_marked() -> None:
    overflow = Overflow(task=1, file=1, op=OP_NUMBER["read"], count=17, bytes=4096, first=1_000, last=61_000_002_000)
    raw = io.BytesIO()
    sink = TableSink(raw)
    sink.aggregated([overflow, replace(overflow, task=0, file=0, op=OP_NUMBER["stat"])], batch_of())
    _, known, unknown = raw.getvalue().decode().splitlines()
    assert known == "04:46:01.000      77 cat        read            AGGREGATED: 17 events, 4096 bytes since 04:45:00.000 /etc/hostname"
    assert unknown == "04:46:01.000       - -          stat            AGGREGATED: 17 events since 04:45:00.000"
    assert sink.written == 0
