"""docs/trace-format.md is sufficient to read a trace: its own program reads one, and its tables match the files' columns.

Separate from test_trace_tables.py, which uses filetap's reader. Here a process without filetap reads the files.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filetap.core.batch import File
from filetap.core.calls import CALL_NUMBER
from filetap.recording.format import OF_EVENTS, TABLES
from filetap.recording.retention import Limits
from filetap.recording.writer import TraceSink
from tests.unit.batches import TASK, batch_of
from tests.unit.traces import metadata

TEXT: Final = (Path(__file__).parents[2] / "docs" / "trace-format.md").read_text()
KINDS: Final = {"string": pa.string(), "bool": pa.bool_(), "binary": pa.binary(), "timestamp": pa.timestamp("ns", "UTC")}


def documented(section: str) -> list[tuple[str, str]]:
    """Return column and type of each line of a section's table."""
    body = re.search(rf"^## {section}$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert body
    return re.findall(r"^\| (?!column)(\w+) \| (\w+) \|", body[1], re.MULTILINE)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("document") / "t.tap"
    sink = TraceSink(folder, metadata(), Limits(rows=2))
    names = [b"/etc/hostname", b"/\xff\n\"'", "/ü".encode()]
    for number, path in enumerate(names, 1):
        rows = [{"call": CALL_NUMBER[call], "file": number, "result": number} for call in ("read", "close")]
        sink.write(batch_of(*rows, files=[File(number, path)], tasks=[TASK]))
    sink.close()
    return folder


def test_the_documents_program_reads_a_trace_without_filetap(trace: Path) -> None:
    program = re.search(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert program
    code = program[1] + "\nassert not any(name.startswith('filetap') for name in sys.modules)\n"
    done = subprocess.run([sys.executable, "-I", "-c", code, str(trace)], capture_output=True, check=True)
    rows = [line.split(" ", 2) for line in done.stdout.decode().splitlines()]
    reported = [(op, int(pid), ast.literal_eval(rest.rpartition(" ")[0]), int(rest.rpartition(" ")[2])) for op, pid, rest in rows]
    names = [b"/etc/hostname", b"/\xff\n\"'", "/ü".encode()]
    assert reported == [(op, TASK.pid, path, number) for number, path in enumerate(names, 1) for op in ("read", "close")]


@pytest.mark.parametrize("name", TABLES)
def test_its_tables_are_the_columns(trace: Path, name: str) -> None:
    columns = documented("Keys") + documented("events" if name in OF_EVENTS else name)
    assert f"\n## {name}\n" in TEXT
    schema = pq.read_schema(trace / name / "000001.parquet")
    assert [column for column, _ in columns] == schema.names
    for column, kind in columns:
        found = schema.field(column).type
        if kind == "dictionary":
            assert pa.types.is_dictionary(found)
            assert found.value_type == pa.string()
        elif kind == "list":
            assert found.value_type in (pa.binary(), pa.uint32(), pa.string())
        else:
            assert found == KINDS.get(kind, kind), column


def test_metadata_and_their_checksum(trace: Path) -> None:
    text = (trace / "trace.json").read_text()
    about = json.loads(text)
    body = TEXT[TEXT.index("\n## trace.json") : TEXT.index("\n## Example")]
    assert {name for name in about if f"`{name}`" not in body} == {"uuid"}
    assert "`uuid`" in TEXT
    whole = text.replace(f'"checksum": "{about["checksum"]}"', '"checksum": "00000000"')
    assert f"{zlib.crc32(whole.encode()):08x}" == about["checksum"]


def test_its_checksum_index_is_the_files(trace: Path) -> None:
    data, journal = ((trace / "events" / f"000001.parquet{suffix}").read_bytes() for suffix in ("", ".crc"))
    at = rows = 0
    for begin in range(0, len(journal), 28):
        entry = journal[begin : begin + 28]
        offset, size = (int.from_bytes(entry[n : n + 8], "little") for n in (0, 8))
        checksum, count, own = (int.from_bytes(entry[n : n + 4], "little") for n in (16, 20, 24))
        assert offset == at
        assert (zlib.crc32(data[offset : offset + size]), zlib.crc32(entry[:24])) == (checksum, own)
        at, rows = at + size, rows + count
    assert (at, rows) == (len(data), 2)


def test_pages_have_checksums_of_their_own(trace: Path) -> None:
    with pytest.raises(OSError, match="could not verify page integrity"):
        broken(trace / "events" / "000001.parquet")


def broken(path: Path) -> None:
    """Return the error of a read with checksums of pages only, after a flip in the last byte of a column's last page."""
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(4)
    begin = min(filter(None, (column.dictionary_page_offset, column.data_page_offset)))
    data[begin + column.total_compressed_size - 1] ^= 1
    pq.ParquetFile(pa.BufferReader(bytes(data)), page_checksum_verification=True).read()
