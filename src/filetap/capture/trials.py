"""Trials: whether this kernel allows one thing, by doing it and undoing it at once.

Separate from features.py, because a trial does not interpret its result.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filetap.core import descriptors, errnos
from filetap.core.errors import KernelError
from filetap.kernel import btf, perf
from filetap.kernel.libbpf import library
from filetap.kernel.types import REGISTERS, KernelTypes
from filetap.probes import uring

Attempt = Callable[[KernelTypes], None]
"""Tries one thing and undoes it at once. Raises OSError with the kernel's error, or KernelError if it does not exist."""

_RINGBUF: Final = 27
_KPROBE, _TRACEPOINT, _TRACING, _LSM = 2, 5, 26, 29
_RAW_TP, _FENTRY, _LSM_MAC, _ITER = 23, 24, 27, 28
_CALL: Final = 0x85
_RETURN_0: Final = bytes.fromhex("b700000000000000 9500000000000000")
_SET_BPF: Final = 0x40042408
"""BPF_MAP_TYPE_*, BPF_PROG_TYPE_*, BPF_TRACE_* and BPF_LSM_MAC, BTF_KIND_*, instructions, PERF_EVENT_IOC_SET_BPF."""


@contextmanager
def _held(result: int) -> Iterator[int]:
    """Yield the descriptor that libbpf or the kernel returned, and close it at the end: that detaches and frees its object."""
    if result < 0:
        raise descriptors.os_error(-result)
    try:
        yield result
    finally:
        os.close(result)


def _load(kind: int, target: int = 0, attach: int = 0, code: bytes = _RETURN_0) -> int:
    """Load a program that does nothing. The options are struct bpf_prog_load_opts up to attach_btf_id."""
    options = struct.pack("@N7I", 36, 0, attach, 0, 0, 0, 0, target)
    return int(library().bpf_prog_load(kind, b"ft_doctor", b"Dual BSD/GPL", code, len(code) // 8, options))


def _attach(types: KernelTypes, name: str, kind: int, program: int = _TRACING, attach: int = _FENTRY) -> None:
    target = types.find(name, kind)
    if not target:
        raise KernelError(f"this kernel has no {name.removeprefix('btf_trace_').removeprefix('bpf_lsm_')}")
    with _held(_load(program, target, attach)) as loaded, _held(library().bpf_raw_tracepoint_open(None, loaded)):
        pass


def tp_btf(event: str, types: KernelTypes) -> None:
    _attach(types, f"btf_trace_{event}", btf.TYPEDEF, attach=_RAW_TP)


def io_uring(types: KernelTypes) -> None:
    if not uring.programs(types):
        raise KernelError("this kernel's io_uring tracepoints do not report which request completed (Linux 6.0 and later do)")
    tp_btf("io_uring_complete", types)


def registers(types: KernelTypes) -> None:
    if not types.has_kfunc(REGISTERS):
        raise KernelError(f"this kernel has no {REGISTERS}, which such a program needs to read a call's arguments")


def fentry(function: str, types: KernelTypes) -> None:
    _attach(types, function, btf.FUNC)


def lsm(hook: str, types: KernelTypes) -> None:
    """Try an LSM hook. Its program can load and attach and yet never run (5.10 did so): the list of active modules shows it."""
    modules = security_modules()
    if "bpf" not in modules:
        raise KernelError(f"bpf is not an active security module ({', '.join(modules)}): add it to lsm= on the kernel command line")
    _attach(types, f"bpf_lsm_{hook}", btf.FUNC, _LSM, _LSM_MAC)


def security_modules() -> list[str]:
    """Return the contents of securityfs's ``lsm``, through a private mount if it is not mounted."""
    try:
        return Path("/sys/kernel/security/lsm").read_text().split(",")
    except FileNotFoundError:
        with _held(perf._call(perf._FSOPEN, b"securityfs", perf._CLOEXEC)) as context:
            perf._call(perf._FSCONFIG, context, perf._FSCONFIG_CMD_CREATE, None, None, 0)
            root = perf._call(perf._FSMOUNT, context, perf._CLOEXEC, 0)
            with _held(root), _held(os.open("lsm", os.O_RDONLY | os.O_CLOEXEC, dir_fd=root)) as file:
                return os.read(file, 4096).decode().split(",")


def tracepoint(category: str, event: str, types: KernelTypes) -> None:
    with _held(perf.open_tracepoint(category, event)) as fd, _held(_load(_TRACEPOINT)) as program:
        fcntl.ioctl(fd, _SET_BPF, program)


def kprobe(function: str, types: KernelTypes) -> None:
    """Try perf's own kprobes (e12f03d7031a, v4.17), which leave no name behind in tracefs."""
    try:
        kind = int(Path("/sys/bus/event_source/devices/kprobe/type").read_text())
    except FileNotFoundError:
        raise KernelError("this kernel has no kprobes (CONFIG_KPROBE_EVENTS)") from None
    name = ctypes.create_string_buffer(function.encode())
    attr = struct.pack("<II6QQQ", kind, perf._ATTR_SIZE, *[0] * 6, ctypes.addressof(name), 0).ljust(perf._ATTR_SIZE, b"\0")
    opened = perf._call(perf._PERF_EVENT_OPEN, attr, -1, 0, -1, perf._PERF_FLAG_FD_CLOEXEC)
    with _held(opened) as fd, _held(_load(_KPROBE)) as program:
        fcntl.ioctl(fd, _SET_BPF, program)


def iterator(over: str, types: KernelTypes) -> None:
    target = types.find(f"bpf_iter_{over}", btf.FUNC)
    with (
        _held(_load(_TRACING, target, _ITER)) as program,
        _held(library().bpf_link_create(program, 0, _ITER, None)) as link,
        _held(library().bpf_iter_create(link)),
    ):
        pass


def ring(types: KernelTypes) -> None:
    with _held(library().bpf_map_create(_RINGBUF, b"ft_doctor", 0, 0, os.sysconf("SC_PAGE_SIZE"), None)):
        pass


def helper(number: int, types: KernelTypes) -> None:
    """Try a helper. The verifier returns EINVAL for a helper it does not know or allow, EACCES for one with wrong arguments,
    as here."""
    call = struct.pack("<BBhi", _CALL, 0, 0, number)
    try:
        with _held(_load(_TRACING, types.find("btf_trace_sys_exit", btf.TYPEDEF), _RAW_TP, call + _RETURN_0)):
            pass
    except PermissionError as error:
        if error.errno != errno.EACCES:
            raise


def reason(attempt: Attempt, types: KernelTypes) -> str:
    """Return why it does not work here; empty if it does."""
    try:
        attempt(types)
    except KernelError as error:
        return str(error)
    except OSError as error:
        return reason_of(error)
    return ""


def reason_of(error: OSError) -> str:
    """Return the kernel's refusal in words."""
    name = errnos.name_of(error.errno or 0)
    return f"denied by this system ({name})" if isinstance(error, PermissionError) else f"not in this kernel ({name})"


def hook(attach_type: str, name: str, types: KernelTypes) -> None:
    """Try a program of the VFS level on one LSM hook, or on the function that calls it."""
    if attach_type == "lsm":
        lsm(name, types)
    else:
        (fentry if attach_type == "fentry" else kprobe)(f"security_{name}", types)
