"""openat2(2), which Python does not have: opens a path below a root that it cannot leave.

Separate, as the only system call of its kind.
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
    """Return a descriptor with O_PATH. ``root``: a descriptor of the directory that ".." and symbolic links cannot leave.
    Raise OSError."""
    how = struct.pack("<3Q", flags | os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | resolve)
    fd = int(_SYSCALL(_NUMBER, root, ctypes.c_char_p(path), ctypes.c_char_p(how), len(how)))
    if fd < 0:
        raise descriptors.os_error(ctypes.get_errno(), os.fsdecode(path))
    return fd
