"""libbpf.so.1 through ctypes: the two dozen functions filetap needs, with Python's errors.

Separate, because it is the only code that declares foreign functions.
"""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import POINTER, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache
from typing import Any, Final

from filetap.core import descriptors
from filetap.core.errors import KernelError

INSTALL: Final = "install Debian's package libbpf1 (make install does)"
_PRINT = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)

_SIGNATURES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "libbpf_set_print": (c_void_p, (c_void_p,)),
    "libbpf_version_string": (c_char_p, ()),
    "libbpf_num_possible_cpus": (c_int, ()),
    "bpf_object__open_file": (c_void_p, (c_char_p, c_void_p)),
    "bpf_object__load": (c_int, (c_void_p,)),
    "bpf_object__close": (None, (c_void_p,)),
    "bpf_object__btf": (c_void_p, (c_void_p,)),
    "bpf_object__next_map": (c_void_p, (c_void_p, c_void_p)),
    "bpf_object__next_program": (c_void_p, (c_void_p, c_void_p)),
    "bpf_object__find_program_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_map__name": (c_char_p, (c_void_p,)),
    "bpf_map__fd": (c_int, (c_void_p,)),
    "bpf_map__reuse_fd": (c_int, (c_void_p, c_int)),
    "bpf_map__set_type": (c_int, (c_void_p, c_uint32)),
    "bpf_map__set_key_size": (c_int, (c_void_p, c_uint32)),
    "bpf_map__set_map_flags": (c_int, (c_void_p, c_uint32)),
    "bpf_map__set_max_entries": (c_int, (c_void_p, c_uint32)),
    "bpf_program__name": (c_char_p, (c_void_p,)),
    "bpf_program__fd": (c_int, (c_void_p,)),
    "bpf_program__set_autoload": (c_int, (c_void_p, c_bool)),
    "bpf_program__set_type": (c_int, (c_void_p, c_int)),
    "bpf_program__set_expected_attach_type": (c_int, (c_void_p, c_int)),
    "bpf_program__set_attach_target": (c_int, (c_void_p, c_int, c_char_p)),
    "bpf_program__attach_trace": (c_void_p, (c_void_p,)),
    "bpf_program__attach_lsm": (c_void_p, (c_void_p,)),
    "bpf_program__attach_kprobe": (c_void_p, (c_void_p, c_bool, c_char_p)),
    "bpf_program__attach": (c_void_p, (c_void_p,)),
    "bpf_map__value_size": (c_uint32, (c_void_p,)),
    "bpf_program__attach_iter": (c_void_p, (c_void_p, c_void_p)),
    "bpf_program__attach_perf_event": (c_void_p, (c_void_p, c_int)),
    "bpf_link__fd": (c_int, (c_void_p,)),
    "bpf_link__destroy": (c_int, (c_void_p,)),
    "bpf_iter_create": (c_int, (c_int,)),
    "bpf_map_lookup_elem": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_update_elem": (c_int, (c_int, c_void_p, c_void_p, c_uint64)),
    "bpf_map_delete_elem": (c_int, (c_int, c_void_p)),
    "bpf_map_get_next_key": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_lookup_batch": (c_int, (c_int, c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_uint32), c_void_p)),
    "bpf_map_lookup_and_delete_batch": (c_int, (c_int, c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_uint32), c_void_p)),
    "bpf_map_update_batch": (c_int, (c_int, c_void_p, c_void_p, POINTER(c_uint32), c_void_p)),
    "bpf_map_delete_batch": (c_int, (c_int, c_void_p, POINTER(c_uint32), c_void_p)),
    "btf__raw_data": (c_void_p, (c_void_p, POINTER(c_uint32))),
    "btf__load_vmlinux_btf": (c_void_p, ()),
    "btf__name_by_offset": (c_char_p, (c_void_p, c_uint32)),
    "btf__find_by_name_kind": (c_int, (c_void_p, c_char_p, c_uint32)),
    "btf__type_by_id": (c_void_p, (c_void_p, c_uint32)),
    "btf__free": (None, (c_void_p,)),
    "bpf_prog_load": (c_int, (c_int, c_char_p, c_char_p, c_void_p, c_size_t, c_void_p)),
    "bpf_map_freeze": (c_int, (c_int,)),
    "bpf_map_create": (c_int, (c_int, c_char_p, c_uint32, c_uint32, c_uint32, c_void_p)),
    "bpf_raw_tracepoint_open": (c_int, (c_char_p, c_int)),
    "bpf_link_create": (c_int, (c_int, c_int, c_int, c_void_p)),
}


@cache
def library() -> ctypes.CDLL:
    """Return libbpf.so.1, with every function declared. Raise KernelError if it is missing or too old."""
    try:
        lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError:
        raise KernelError(f"libbpf.so.1 is missing: {INSTALL}") from None
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            function = getattr(lib, name)
        except AttributeError:
            raise KernelError(f"libbpf.so.1 is too old, it has no {name}: {INSTALL}, version 1.1 or newer") from None
        function.restype, function.argtypes = result, arguments
    lib.libbpf_set_print(ctypes.cast(_print, c_void_p))
    return lib


class Log(threading.local):
    """What libbpf printed since the last ``take()``; shown only when something failed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def take(self) -> str:
        text, self.lines = "".join(self.lines), []
        return text


log = Log()


def _collect(level: int, form: bytes, arguments: int | None) -> int:
    if level > 1:  # LIBBPF_DEBUG
        return 0
    buffer = ctypes.create_string_buffer(1 << 20)
    ctypes.CDLL(None).vsnprintf(buffer, c_size_t(len(buffer)), form, c_void_p(arguments))
    log.lines.append(buffer.value.decode("utf-8", "replace"))
    return 0


_print = _PRINT(_collect)


def check(result: int, what: str) -> int:
    """Return the ``result`` of a function that returns a negative errno, or raise KernelError with the reason."""
    if result < 0:
        descriptors.check(-result)
        raise KernelError(f"{what}: {os.strerror(-result)}")
    return result


def pointer(result: int | None, what: str) -> int:
    """Return the ``result`` of a function that returns NULL and sets errno, or raise OSError with the reason."""
    if not result:
        raise descriptors.os_error(ctypes.get_errno(), what)
    return result
