"""Columns of byte strings, and one way to concatenate them row by row, without Python code per row.

Separate, because every text format uses it and it does not depend on events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filetap.render import arrow
from filetap.render.columns import encode

Strings: TypeAlias = Any
"""pyarrow.BinaryArray without nulls; pyarrow has no types of its own."""

Rows = NDArray[np.int32]


def _memory() -> Any:
    """Return jemalloc if available: Arrow's default, mimalloc, keeps 30 MB more than jemalloc with the same batches
    (measured)."""
    try:
        return pa.jemalloc_memory_pool()
    except NotImplementedError:
        return pa.default_memory_pool()


MEMORY: Final = _memory()


class Text(NamedTuple):
    """A column of byte strings: row ``i`` is ``strings[rows[i]]``."""

    strings: Strings
    rows: Rows


def strings(values: Sequence[bytes]) -> Strings:
    return pa.array(values, pa.binary())


DIGITS: Final = strings([b"%03d" % number for number in range(1000)])
EMPTY: Final = strings([b""])
SPACES: Final = strings([b" " * width for width in range(32)])


def constant(value: bytes, count: int) -> Text:
    return Text(strings([value]), np.zeros(count, np.int32))


def lookup(table: Strings, rows: NDArray[Any]) -> Text:
    """Return ``table[rows[i]]`` in each row."""
    return Text(table, rows.astype(np.int32, copy=False))


def numbers(values: NDArray[Any]) -> Text:
    """Return whole numbers in decimal."""
    return whole(arrow.decimal(arrow.array(values), MEMORY).view(pa.binary()))


def repeated(values: NDArray[Any]) -> Text:
    """Return the same for few distinct values: each of those is written once."""
    distinct, rows = encode(values)
    return Text(numbers(distinct).strings, rows)


HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)


def hexadecimal(values: NDArray[np.uint64]) -> Text:
    """Return whole numbers in hexadecimal, without leading zeros."""
    places = np.arange(60, -1, -4, dtype=np.uint64)
    digits = (values[:, None] >> places & np.uint64(15)).astype(np.uint8)
    shown = np.logical_or.accumulate(digits != 0, axis=1)
    shown[:, -1] = True
    ends = np.concatenate([np.zeros(1, np.int32), shown.sum(axis=1, dtype=np.int32).cumsum(dtype=np.int32)])
    data = HEX[digits[shown]]
    return whole(pa.Array.from_buffers(pa.binary(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(data)]))


def whole(array: Strings) -> Text:
    """Return each string in its own row."""
    return Text(array, np.arange(len(array), dtype=np.int32))


def choose(mask: NDArray[np.bool_], yes: Text, no: Text) -> Text:
    """Return ``yes`` where the mask is set, else ``no``."""
    if mask.all():
        return yes
    rows = np.where(mask, yes.rows, no.rows + np.int32(len(yes.strings)))
    return Text(pa.concat_arrays([yes.strings, no.strings]), rows)


def only(mask: NDArray[np.bool_], text: Text) -> Text:
    """Return the text where the mask is set, else nothing."""
    return choose(mask, text, Text(EMPTY, np.zeros(len(mask), np.int32)))


def some(mask: NDArray[np.bool_], text: Text) -> Text:
    """Return the text's rows, one after the other, where the mask is set, else nothing."""
    rows = np.full(len(mask), len(text.strings), np.int32)
    rows[mask] = text.rows
    return Text(pa.concat_arrays([text.strings, EMPTY]), rows)


def offsets(array: Strings) -> Rows:
    """Return where each string begins in the array's data, and the end of the last."""
    return np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]


def lengths(array: Strings) -> Rows:
    places = offsets(array)
    return np.asarray(places[1:] - places[:-1])


def right(text: Text, width: int) -> list[Text]:
    """Align ASCII text to the right in ``width`` columns. Longer text stays whole, after one blank."""
    padding = np.clip(np.int32(width) - lengths(text.strings), 1, len(SPACES) - 1)
    return [Text(SPACES, padding[text.rows]), text]


def timestamps(nanoseconds: NDArray[np.int64], seconds: Callable[[NDArray[np.int64]], list[bytes]], groups: int) -> list[Text]:
    """Return distinct whole seconds as ``seconds`` formats them, then ``groups`` times three decimals."""
    whole = nanoseconds // 1_000_000_000
    rest = (nanoseconds - whole * 1_000_000_000).astype(np.int32)
    distinct, rows = encode(whole)
    micro = rest // 1000
    milli = rest // 1_000_000
    decimals = (milli, micro - milli * 1000, rest - micro * 1000)
    return [Text(strings(seconds(distinct)), rows), *(Text(DIGITS, part) for part in decimals[:groups])]


def interleave(columns: Sequence[Text]) -> tuple[Strings, NDArray[np.int32]]:
    """Return all strings in one array, and the index of each row's string, one column of numbers per text."""
    taken = np.empty((len(columns[0].rows), len(columns)), np.int32)
    base = 0
    for number, column in enumerate(columns):
        np.add(column.rows, np.int32(base), out=taken[:, number])
        base += len(column.strings)
    return pa.concat_arrays([column.strings for column in columns], memory_pool=MEMORY), taken


def lay(pool: Strings, taken: NDArray[np.int32]) -> Strings:
    """Concatenate each row's strings. Arrow's ``take`` copies them in order, so its data is the joined text already."""
    pieces = arrow.take(pool, taken.reshape(-1), MEMORY)
    ends = np.ascontiguousarray(offsets(pieces)[:: taken.shape[1]])
    return pa.Array.from_buffers(pa.binary(), len(taken), [None, pa.py_buffer(ends), pieces.buffers()[2]])


def join(columns: Sequence[Text]) -> Strings:
    """Concatenate each row's strings, all at once: for columns of short strings."""
    return lay(*interleave(columns))


def join_in_parts(columns: Sequence[Text], most: int = 2048, size: int = 1 << 20) -> Iterator[Strings]:
    """Do the same in parts of at most ``most`` rows and about ``size`` bytes, which stay in the cache until written."""
    pool, taken = interleave(columns)
    longest = sum(int(lengths(column.strings).max()) for column in columns)
    step = max(1, min(most, size // longest))
    for start in range(0, len(taken), step):
        yield lay(pool, taken[start : start + step])
