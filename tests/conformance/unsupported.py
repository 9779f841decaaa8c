"""The kernel facilities that a case may lack, and for each a probe that shares no code with the case.

Separate, because "cannot" is a claim about the machine, and a case that fails for another reason must not pass. An
unknown facility fails the run.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatch
from functools import cache, partial
from pathlib import Path
from typing import Final

Probe = Callable[[], bool]
"""True: the facility is missing."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
X32: Final = 1 << 30
GETPID: Final = 39
AT_EMPTY_PATH: Final = 0x1000
IORING_REGISTER_PROBE: Final = 8
TRACEFS: Final = "/sys/kernel/tracing"


def unproven(facility: str) -> bool:
    """Return whether it is unknown, or present after all."""
    return facility not in FACILITIES or not proven(facility)


@cache
def unseen(case: str) -> str:
    """Return what this kernel does not show of the case although a tracer needs it, or an empty text."""
    return next((facility for prefix, (facility, probe) in UNSEEN.items() if case.startswith(prefix) and probe()), "")


@cache
def proven(facility: str) -> bool:
    return FACILITIES[facility]()


def call(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call; return its result, or the negative error."""
    values = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(_LIBC.syscall(ctypes.c_long(number), *values))
    return -ctypes.get_errno() if result == -1 else result


def no_call(number: int) -> bool:
    """Call it with invalid arguments: EBADF, EINVAL or EFAULT if it exists."""
    return call(number, -1, None, None, None, None, None) == -errno.ENOSYS


def no_capability(bit: int) -> bool:
    held = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return not int(held, 16) >> bit & 1


def file_system() -> str:
    """Return the type of the file system on which the cases run."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    folder = os.path.realpath(tempfile.gettempdir())
    above = [row for row in mounts if folder == row[4] or folder.startswith(row[4].rstrip("/") + "/")]
    nearest = max(reversed(above), key=lambda row: len(row[4]))  # of two at one path the last covers the other
    return nearest[nearest.index("-") + 1]


def of_memory() -> bool:
    return file_system() in ("tmpfs", "ramfs")


def refuses(flags: int) -> bool:
    """Return whether the cases' file system refuses these open flags."""
    with tempfile.NamedTemporaryFile() as file:
        path = os.path.dirname(file.name) if flags & os.O_TMPFILE == os.O_TMPFILE else file.name
        try:
            os.close(os.open(path, flags))
        except OSError as error:
            return error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.EISDIR)
    return False


def no_nowait() -> bool:
    with tempfile.TemporaryFile() as file:
        try:
            os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except OSError as error:
            return error.errno == errno.EOPNOTSUPP
    return False


def no_user_attributes() -> bool:
    with tempfile.NamedTemporaryFile() as file:
        try:
            os.setxattr(file.name, b"user.probe", b"")
        except OSError as error:
            return error.errno == errno.EOPNOTSUPP
    return False


def no_handles() -> bool:
    room = ctypes.create_string_buffer(b"\x80", 8 + 128)
    where = ctypes.create_string_buffer(8)
    return call(303, -100, os.fsencode(tempfile.gettempdir()), room, where, 0) in (-errno.EOPNOTSUPP, -errno.ENOSYS)


def no_32_bit_calls() -> bool:
    """Call getpid(2) by int $0x80, in a process that may die of it."""
    return subprocess.run([sys.executable, "-c", _INT80], capture_output=True, check=False).returncode != 0


_INT80: Final = """
import ctypes, mmap, os
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\\x53\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\x5b\\xc3")  # push rbx; mov eax, 20; int 0x80; pop rbx; ret
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
assert ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid()
"""


def no_overlay() -> bool:
    """Not available, and not loadable as a module by mount(8) either."""
    if "\toverlay\n" in Path("/proc/filesystems").read_text():
        return False
    mount = ["unshare", "-m", "mount", "-t", "overlay", "-o", "lowerdir=/etc:/usr", "none", "/mnt"]
    return subprocess.run(mount, capture_output=True, check=False).returncode != 0


def no_ring() -> bool:
    ring = call(425, 1, ctypes.create_string_buffer(120))
    if ring >= 0:
        os.close(ring)
    return ring < 0


def no_ring_operation(opcode: int) -> bool:
    """Read IORING_REGISTER_PROBE: 16 bytes, then 8 for each opcode, of which the third and fourth are flags."""
    ring, answer = call(425, 1, ctypes.create_string_buffer(120)), ctypes.create_string_buffer(16 + 8 * 256)
    if ring < 0:
        return True
    with suppress(OSError):
        call(427, ring, IORING_REGISTER_PROBE, answer, 256)
        os.close(ring)
    return not answer.raw[16 + 8 * opcode + 2] & 1


def _tracefs(command: str) -> str:
    """Return a shell command's output in the directory of the kernel's tracepoints."""
    script = f"mount -t tracefs none {TRACEFS} && cd {TRACEFS}/events && {command}"
    return subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, check=True, text=True).stdout


def tracepoints(*patterns: str) -> list[str]:
    """Return the formats of the tracepoints with this name (system/name)."""
    found = _tracefs("echo */*/format").split()
    if "sched/sched_switch/format" not in found:
        raise OSError(f"{TRACEFS} does not list the kernel's tracepoints")
    return [name for name in found if any(fnmatch(name, f"{pattern}/format") for pattern in patterns)]


def no_tracepoint(*patterns: str) -> bool:
    """Return whether no tracepoint of the kernel has this name."""
    return not tracepoints(*patterns)


def no_more_than_a_signal(*patterns: str) -> bool:
    """Return whether none of them identifies a file. coredump:coredump, which 7.2 has and 6.18 has not, only reports that a dump begins."""
    formats = "".join(_tracefs(f"cat {name}") for name in tracepoints(*patterns))
    fields = {name for name in re.findall(r"field:[^;]*?(\w+)(?:\[[^;]*)?;", formats) if not name.startswith("common_")}
    return fields <= {"sig", "comm"}


def no_request_in_completions() -> bool:
    """Return whether io_uring_complete does not identify its request (5e45690a1cb8, v5.19)."""
    shown = _tracefs("cat io_uring/io_uring_complete/format")
    if "field:int res;" not in shown and "field:long res;" not in shown:
        raise OSError("this is not the format of io_uring_complete as anybody knows it")
    return "field:void * req;" not in shown


def modules_without_types() -> bool:
    """Return whether the kernel has overlayfs as a module and no types of modules (36e68442d1af, v5.11)."""
    loaded = Path("/proc/modules")
    return loaded.exists() and "overlay " in loaded.read_text() and not Path("/sys/kernel/btf/overlay").exists()


def no_close_on_exec_of_a_range() -> bool:
    return call(436, 1 << 20, 1 << 20, 4) == -errno.EINVAL


def second_access_makes_no_fault() -> bool:
    """Load one mapped page twice: the kernel counts a fault for the first load only."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(mmap.PAGESIZE))
        file.flush()
        with mmap.mmap(file.fileno(), mmap.PAGESIZE) as memory:
            counts = [_faults_of(memory) for _ in range(8)]
    return counts[0] > 0 and 0 in counts[1:]  # another fault in this process may add one to any of them


def _faults_of(memory: mmap.mmap) -> int:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF)
    memory[100]
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt


FACILITIES: Final[dict[str, Probe]] = {
    "32-bit calls (CONFIG_IA32_EMULATION)": no_32_bit_calls,
    "O_DIRECT on this file system": partial(refuses, os.O_RDONLY | os.O_DIRECT),
    "O_TMPFILE": partial(refuses, os.O_RDWR | os.O_TMPFILE),
    "RWF_NOWAIT on this file system": no_nowait,
    "a file system not mounted noexec": lambda: bool(os.statvfs(tempfile.gettempdir()).f_flag & os.ST_NOEXEC),
    "a file system that tracks the first write to a mapped page": of_memory,
    "a file system that uses inode numbers again": lambda: not file_system().startswith("ext"),
    "a file system whose pages can be dropped from the cache, and are read one by one": of_memory,
    "a kernel that takes a call's number as 32 bits": lambda: call(7 << 32 | GETPID) == -errno.ENOSYS,
    "a kernel without x32": lambda: call(X32 | GETPID) == os.getpid(),
    "a mount namespace needs CAP_SYS_ADMIN": partial(no_capability, 21),
    "a second user": partial(no_capability, 7),
    "close_range's CLOSE_RANGE_CLOEXEC": no_close_on_exec_of_a_range,
    "chroot needs CAP_SYS_CHROOT": partial(no_capability, 18),
    "extended attributes of users": no_user_attributes,
    "fchmodat2": partial(no_call, 452),
    "file handles": no_handles,
    "file_setattr": partial(no_call, 469),
    "finit_module (CONFIG_MODULES, CAP_SYS_MODULE)": lambda: call(313, -1, b"", 0) in (-errno.ENOSYS, -errno.EPERM),
    "getxattrat": partial(no_call, 464),
    "io_setup (CONFIG_AIO)": partial(no_call, 206),
    "io_uring": no_ring,
    "io_uring's extended attributes": partial(no_ring_operation, 44),
    "io_uring's ftruncate": partial(no_ring_operation, 55),
    "io_uring's linkat": partial(no_ring_operation, 39),
    "open_by_handle_at needs CAP_DAC_READ_SEARCH": partial(no_capability, 2),
    "overlayfs": no_overlay,
    "pidfd_open": partial(no_call, 434),
    "setxattrat": partial(no_call, 463),
    "statx without a name": lambda: call(332, 0, None, AT_EMPTY_PATH, 0, ctypes.create_string_buffer(256)) == -errno.EFAULT,
}
"""Texts that a case prints on standard error when it exits with 77 (case.h)."""

UNSEEN: Final[dict[str, tuple[str, Probe]]] = {
    "uring/": ("a completion of io_uring that names its request", no_request_in_completions),
    "reuse/ring_closes": ("a completion of io_uring that names its request", no_request_in_completions),
    "identity/overlay": ("types of the kernel's modules", modules_without_types),
    "reuse/overlay_one_name": ("types of the kernel's modules", modules_without_types),
}
"""What some kernels do not show of cases that they can run, by name."""

LIMITS: Final[dict[str, Probe]] = {
    "a tracepoint inside the file system layer that identifies a file": partial(
        no_more_than_a_signal, "vfs/*", "*/vfs_*", "*/*coredump*", "*/*kernel_write*"
    ),
    # Not "*path_lookup*": 7.2's xfs:xchk_metapath_lookup is about metadata that a check of the file system reads.
    "a tracepoint after the lookup of a path": partial(no_tracepoint, "namei/*", "*/path_lookup*", "*/vfs_path_lookup*", "*/*lookupat*"),
    "a fault for each access to memory": second_access_makes_no_fault,
}
"""What filetap would need for the limits in limits.toml."""
