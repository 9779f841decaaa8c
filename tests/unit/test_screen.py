"""The screen of filetap top at any size, and its keys; without a terminal."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.analysis.rates import COLUMNS
from filetap.analysis.summary import KEYS
from filetap.cli.options import RUN_BY
from filetap.cli.terminal import keys
from filetap.cli.top import SORTS
from filetap.render.terminal import columns_of
from filetap.report.top import HEADS, VIEWS, Status, View, number, plain, screen, tail

NAMES = [b"/a/b", b"/evil\x1b[2J\n\r\x9b", "/日本語/ファイル".encode(), b"/" + b"long/" * 100 + b"end", None]


def table(by: str = "file") -> pa.Table:
    columns = {name: [f"{float(n + 1)}" for n in range(5)] for name in COLUMNS}
    figures = {name: pa.array([float(text) for text in values]).cast(pa.float64()) for name, values in columns.items()}
    whole = {name: figures[name].cast(pa.int64()) for name in COLUMNS if "/" not in name and name != "rate"}
    numbers = ("pid", "start", "euid", "egid", "uid", "gid", "loginuid")
    names = {
        key: pa.array([1, 22, 333, 4194304, None], pa.int64())
        if key in numbers
        else pa.array(["read", "\x1b[2J", "\u65e5\u672c", "x", None])
        if key == "op" or by == "user"
        else pa.array(NAMES, pa.binary())
        for key in KEYS[by]
    }
    return pa.table({**names, "others": [False] * 4 + [True], **figures, **whole})


def text_of(lines: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


@given(st.integers(1, 250), st.integers(1, 60), st.sampled_from(VIEWS), st.booleans(), st.booleans())
def test_every_line_fits(width: int, height: int, by: str, helping: bool, typing: bool) -> None:
    view = View(by=by, help=helping, typing=typing, text="\x1b[31m日本")
    lines = text_of(screen(view, table(by), Status(3.0, 10, 1), width, height))
    assert len(lines) <= height
    for line in lines:
        assert line.isprintable()
        assert sum(map(columns_of, line)) <= width


def test_hostile_names_are_escaped() -> None:
    lines = "\n".join(text_of(screen(View(), table(), Status(1.0), 200, 40)))
    assert "/evil\\x1b[2J\\n\\r\\x9b" in lines
    assert "日本語" in lines
    assert "+" in lines
    assert "long/end" in lines
    assert "\x1b" not in lines


@pytest.mark.parametrize(("height", "rows"), [(1, 0), (2, 1), (4, 3), (5, 1), (9, 5)])
def test_small_terminals_show_rows_first(height: int, rows: int) -> None:
    lines = text_of(screen(View(sort="count"), table(), Status(1.0), 80, height))
    assert sum("/a/b" in line or "long/" in line or "evil" in line or "others" in line or "日" in line for line in lines) == rows


def test_keys_choose() -> None:
    view = View()
    for key, by in zip("fdpouc", ("file", "directory", "process", "op", "user", "cgroup"), strict=True):
        view.key(key)
        assert view.by == by
    view.key("tab")
    assert view.by == "file"
    view.key(">")
    assert view.sort == "bytes/s"
    view.key("left")
    view.key("<")
    assert view.sort == "bytes"
    view.key("r")
    view.key(" ")
    assert (view.reverse, view.paused) == (True, True)
    view.key(" ")
    assert not view.paused
    view.key("q")
    assert view.over


def test_filter_is_typed() -> None:
    view = View()
    for key in ["/", "q", "x", "backspace", "日"]:
        view.key(key)
    assert (view.text, view.typing, view.over) == ("q日", True, False)
    view.key("enter")
    assert (view.text, view.typing) == ("q日", False)
    view.key("escape")
    assert view.text == ""
    for key in ["/", "e", "v", "i", "l"]:
        view.key(key)
    assert view.rows(table()).num_rows == 1
    view.key("escape")
    assert (view.text, view.typing) == ("", False)


def test_help_is_left_by_any_key() -> None:
    view = View()
    view.key("h")
    assert "Ctrl-C" in "\n".join(text_of(screen(view, table(), Status(1.0), 100, 30)))
    view.key("q")
    assert (view.help, view.over) == (False, False)


def test_scrolling_stays_within_the_rows() -> None:
    view = View()
    for key in ["down"] * 20 + ["pagedown"]:
        view.key(key)
    screen(view, table(), Status(1.0), 80, 7)
    assert view.first == 2
    view.key("home")
    view.key("up")
    assert view.first == 0


def test_lost_events_are_highlighted() -> None:
    lines = screen(View(), table(), Status(1.0, 100, 7), 120, 20)
    assert any("7 LOST" in text and "red" in style for line in lines for text, style in line)


@pytest.mark.parametrize("width", [24, 40, 60, 80, 120])
@pytest.mark.parametrize("sort", COLUMNS)
def test_the_column_to_sort_by_is_there_as_long_as_one_is(width: int, sort: str) -> None:
    lines = text_of(screen(View(sort=sort), table(), Status(1.0), width, 20))
    assert HEADS[sort][0] in lines[2].split()
    assert all(line.split() for line in lines[3:8])


def test_important_columns_on_a_narrow_screen() -> None:
    lines = text_of(screen(View(paused=True), table(), Status(1.0, 100, 7), 20, 8))
    assert "PAUSED" in lines[0]
    assert "7 LOST" in lines[1]
    reported = text_of(screen(View(help=True), table(), Status(1.0), 50, 6))
    assert any("q " in line and "end" in line for line in reported)
    assert any("any key leaves" in line for line in reported)


def test_one_is_no_plural() -> None:
    for by, word in zip(VIEWS, ("file", "directory", "process", "operation", "user", "cgroup"), strict=True):
        view = View(by=by)
        assert text_of(screen(view, table(by).slice(0, 1), Status(1.0), 120, 8))[-1].startswith(f"1 {word}  ")
        assert not text_of(screen(view, table(by), Status(1.0), 120, 8))[-1].startswith(f"5 {word} ")


def test_plain_text() -> None:
    lines = plain(View(sort="count"), table(), Status(61.0, 5), 3).splitlines()
    assert lines[0] == "filetap top  0:01:01  files by COUNT"
    assert lines[2].split()[-1] == "PATH"
    assert len(lines) == 6
    assert lines[3].endswith("long/end")


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        (b"q", ["q"]),
        (b"\x1b[A\x1b[B\x1b[5~x", ["up", "down", "pageup", "x"]),
        (b"\x1b", ["escape"]),
        (b"\x1b[99;5u\r", ["enter"]),
        ("日".encode() + b"\xff\x7f", ["日", "\udcff", "backspace"]),
        (b"\x1b[", []),
    ],
)
def test_bytes_become_keys(sent: bytes, names: list[str]) -> None:
    assert list(keys(sent)) == names


@given(st.binary())
def test_any_bytes_are_keys(sent: bytes) -> None:
    assert all(keys(sent))


def test_words_of_the_command_line() -> None:
    assert tuple(KEYS) == RUN_BY
    assert SORTS == COLUMNS
    assert set(HEADS) == set(COLUMNS)


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (12.3, "12"), (999999, "999999"), (1e6, "1000k"), (2e9, "2000M")])
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@given(st.text(max_size=30), st.integers(0, 30))
def test_tails(text: str, width: int) -> None:
    cut = tail(text, width)
    assert sum(map(columns_of, cut)) <= width
    assert cut == text or text.endswith(cut[1:])
