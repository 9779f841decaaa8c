"""openat2(2), which Python does not have: a path below a root that nothing in it leads out of.

Apart, as the only call of its kind.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Final

from filetap.core import descriptors

_SYSCALL: Final = ctypes.CDLL(None, use_errno=True).syscall
_NUMBER: Final = 437
_RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS = 0x10, 0x4


def open_in_root(root: int, path: bytes, flags: int, resolve: int = 0) -> int:
    """A descriptor with O_PATH. ``root``: one of the directory that ".." and symbolic links do not leave. Raises OSError."""
    how = struct.pack("<3Q", flags | os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | resolve)
    fd = int(_SYSCALL(_NUMBER, root, ctypes.c_char_p(path), ctypes.c_char_p(how), len(how)))
    if fd < 0:
        raise descriptors.os_error(ctypes.get_errno(), os.fsdecode(path))
    return fd
