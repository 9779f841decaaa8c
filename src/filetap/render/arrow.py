"""The few computing functions of Arrow that a trace needs, and arrays from numpy's.

Separate, because pyarrow.compute makes a Python function of each of its 300 when it is imported, and pyarrow.array imports
numpy.ma and looks for pandas: together a tenth of a second of each start (docs/adr/0006). The methods of Arrow's arrays import
them, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

try:
    from pyarrow._compute import CastOptions, call_function
except ImportError:  # what the public module exports; slow to import
    from pyarrow.compute import CastOptions, call_function


def array(values: NDArray[Any]) -> Any:
    """Return numbers (no booleans), or records as opaque bytes, without copying them if they are contiguous."""
    values = np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(values.dtype) if values.dtype.names is None else pa.binary(values.dtype.itemsize)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def distinct(values: Any) -> Any:
    """Return the array as a DictionaryArray: its distinct values in order of appearance, and their indices."""
    return call_function("dictionary_encode", [values])


def decimal(values: Any, memory: Any) -> Any:
    """Return numbers as text."""
    return call_function("cast", [values], CastOptions(pa.string()), memory)


def take(values: Any, rows: NDArray[np.int32], memory: Any) -> Any:
    """Return the values at these indices."""
    return call_function("array_take", [values, array(rows)], None, memory)
