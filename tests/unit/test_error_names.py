"""Names of errors against the kernel's own headers: the C library, and so Python, has other names for some numbers.

Separate from the sinks' tests, because SQL and every format take the names from one table.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import duckdb
import pytest

from filetap.analysis.columns import MACROS
from filetap.core import constants

HEADERS: Final = [Path("/usr/include/asm-generic") / name for name in ("errno-base.h", "errno.h")]
"""Of linux-libc-dev, which the BPF objects need too."""
INTERNAL: Final = """
512 ERESTARTSYS 513 ERESTARTNOINTR 514 ERESTARTNOHAND 515 ENOIOCTLCMD 516 ERESTART_RESTARTBLOCK 517 EPROBE_DEFER
518 EOPENSTALE 519 ENOPARAM 521 EBADHANDLE 522 ENOTSYNC 523 EBADCOOKIE 524 ENOTSUPP 525 ETOOSMALL 526 ESERVERFAULT
527 EBADTYPE 528 EJUKEBOX 529 EIOCBQUEUED 530 ERECALLCONFLICT 531 ENOGRACE
""".split()
"""include/linux/errno.h, which no package installs."""


def kernel_errors() -> dict[int, str]:
    """Return number to name, without aliases (EWOULDBLOCK, EDEADLOCK)."""
    text = "".join(header.read_text(encoding="ascii") for header in HEADERS)
    public = {int(number): name for name, number in re.findall(r"^#define\s+(E\w+)\s+(\d+)\b", text, re.MULTILINE)}
    return public | {int(number): name for number, name in zip(INTERNAL[::2], INTERNAL[1::2], strict=True)}


def test_names_are_those_of_the_kernel() -> None:
    assert kernel_errors()[95] == "EOPNOTSUPP"
    assert {number: constants.error(-number) for number in kernel_errors()} == kernel_errors()


def test_numbers_that_the_kernel_does_not_name_stay_numbers() -> None:
    unnamed = set(range(1, 1024)) - set(kernel_errors())
    assert {constants.error(-number) for number in unnamed} == set(map(str, unnamed))


@pytest.mark.parametrize("sign", [1, -1])
def test_sql_has_the_same_names(sign: int) -> None:
    connection = duckdb.connect()
    connection.execute(f"CREATE MACRO errno_name(result) AS {MACROS['errno_name(result)'][0]}")
    found = connection.sql(f"SELECT range::INTEGER, errno_name({sign} * range) FROM range(1, 1024)").fetchall()
    assert dict(found) == {number: kernel_errors().get(number, str(number)) for number in range(1, 1024)}
