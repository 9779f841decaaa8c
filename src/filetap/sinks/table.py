"""A table for eyes: one aligned line per event, the path last and never cut.

Apart, because it is a format; that nothing in a name can move the cursor is decided here, in printable().
Next: ndjson.py, the same events for programs.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Sequence
from io import RawIOBase
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filetap import model
from filetap.batch import Batch, File, Fold, Task
from filetap.enrich import names
from filetap.enrich.columns import clock, durations, encode, ops
from filetap.enrich.fragments import Fragments
from filetap.enrich.strings import Strings, Text, choose, join_in_parts, lookup, numbers, right, strings, timestamps
from filetap.model import Records
from filetap.sinks.ndjson import LineFile, transfers

COMM, CALL, FD, RESULT, OFFSET, SIZE, LATENCY = 12, 8, 4, 9, 10, 8, 8
"""Widths. From the descriptor on, the blank before the column included: those columns are aligned to the right."""

HEADER: Final = (
    f"{'TIME':15} {'PID':>7} {'COMM':{COMM}} {'CALL':{CALL}}"
    f"{'FD':>{FD}}{'RESULT':>{RESULT}}{'OFFSET':>{OFFSET}}{'SIZE':>{SIZE}}{'LATENCY':>{LATENCY}} PATH\n"
).encode()

NONE: Final = strings([b"-"])
RED, PLAIN: Final = "31", ""
COLOURS: Final = {"open": "36", "close": "2", "read": "32", "write": "33", "fork": "35", "thread": "35", "exec": "35", "exit": "35"}
"""SGR codes of ECMA-48."""

NAMED_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
