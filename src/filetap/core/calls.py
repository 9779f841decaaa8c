"""The operations, and every call that makes one: number, how it is read, and the meaning of each argument.

Plain data without imports of filetap's own; the one table that the probes, the sinks and docs/coverage.md follow. A call whose
shape describes everything needs only a line here.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

OPS: Final = (
    "none open close read write dup fork thread exec exit fault "
    "stat statfs access readlink getdents getxattr setxattr listxattr removexattr handle "
    "mmap munmap mremap mprotect madvise "
    "rename link symlink unlink mkdir rmdir mknod "
    "setattr truncate fallocate "
    "sendfile splice tee vmsplice copy_file_range reflink dedupe "
    "seek sync readahead advise "
    "lock chdir mount umount "
    "modify permission"
).split()
"""The index is ``event``'s op; the first eleven are ``enum op`` of bpf/event.h."""
OP_NUMBER: Final = {op: number for number, op in enumerate(OPS)}

KIND_READ, KIND_WRITE, KIND_OPEN, KIND_CLOSE, KIND_DUP, KIND_FCNTL, KIND_EXEC, KIND_PLAIN = range(1, 9)
KIND_TRANSFER, KIND_IOCTL, KIND_MMAP, KIND_MAPPED, KIND_CHDIR, KIND_CLOSE_RANGE, KIND_SUBMIT, KIND_FORK, KIND_GROUPS = range(9, 18)
POSITIONAL, VECTORED, RWF, HOW, ANY, DROP, MOVES, ENTER = (1 << bit for bit in range(8))
"""Kinds and flags: KIND_* and CALL_* of bpf/event.h."""

MAX_NR: Final = 512
"""Lower numbers are system calls, higher ones io_uring's opcodes."""


class Call(NamedTuple):
    """One exact way to make an operation."""

    name: str
    op: str
    kind: int = 0
    flags: int = 0
    nr: int = -1
    """Number on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl), or MAX_NR + opcode; -1: neither."""
    shape: str = ""
    """The meaning of each argument: a word of struct shape, or a dash."""
    recipe: str = ""
    """io_uring: the field of struct io_uring_sqe for each argument of the corresponding system call. F: fd, O: off, A: addr,
    L: len, P: the operation's flags, S: splice_fd_in, 3: addr3."""
    other: bool = False
    """The second meaning of its number: the probe decides between the two."""


def _plain(op: str, calls: str, flags: int = 0) -> list[Call]:
    """Parse one call per line: its name, its number, and the meaning of each argument."""
    rows = (line.split(None, 2) for line in calls.strip().splitlines())
    return [Call(name, op, KIND_PLAIN, flags, int(nr), shape) for name, nr, shape in rows]


_OPENING: Final = [
    Call("open", "open", KIND_OPEN, 0, 2, "name offset size"),
    Call("openat", "open", KIND_OPEN, 0, 257, "dir name offset size"),
    Call("openat2", "open", KIND_OPEN, HOW, 437, "dir name"),
    Call("creat", "open", KIND_OPEN, 0, 85, "name size"),
    Call("open_by_handle_at", "open", KIND_OPEN, 0, 304, "- - offset"),
    Call("memfd_create", "open", KIND_OPEN, 0, 319, "-"),
    Call("close", "close", KIND_CLOSE, ENTER, 3, "fd"),
    Call("close_range", "close", KIND_CLOSE_RANGE, ENTER, 436),
    Call("dup", "dup", KIND_DUP, 0, 32, "fd"),
    Call("dup2", "dup", KIND_DUP, 0, 33, "fd"),
    Call("dup3", "dup", KIND_DUP, 0, 292, "fd"),
    Call("fcntl", "dup", KIND_FCNTL, 0, 72, "fd"),
    Call("pidfd_getfd", "dup", KIND_OPEN, 0, 438, "- - offset"),
]

_MOVING: Final = [
    Call("read", "read", KIND_READ, 0, 0, "fd - size"),
    Call("readv", "read", KIND_READ, VECTORED, 19, "fd"),
    Call("pread64", "read", KIND_READ, POSITIONAL, 17, "fd - size offset"),
    Call("preadv", "read", KIND_READ, POSITIONAL | VECTORED, 295, "fd - - offset"),
    Call("preadv2", "read", KIND_READ, POSITIONAL | VECTORED | RWF, 327, "fd - - offset"),
    Call("write", "write", KIND_WRITE, 0, 1, "fd - size"),
    Call("writev", "write", KIND_WRITE, VECTORED, 20, "fd"),
    Call("pwrite64", "write", KIND_WRITE, POSITIONAL, 18, "fd - size offset"),
    Call("pwritev", "write", KIND_WRITE, POSITIONAL | VECTORED, 296, "fd - - offset"),
    Call("pwritev2", "write", KIND_WRITE, POSITIONAL | VECTORED | RWF, 328, "fd - - offset"),
    Call("io_submit", "read", KIND_SUBMIT),
    Call("io_submit", "write", KIND_SUBMIT),
    Call("io_submit", "sync", KIND_PLAIN, shape="fd"),
    Call("finit_module", "read", KIND_PLAIN, 0, 313, "fd"),
    Call("kexec_file_load", "read", KIND_PLAIN, 0, 320, "fd"),
    Call("sendfile", "sendfile", KIND_TRANSFER, 0, 40, "to_fd fd offset size"),
    Call("splice", "splice", KIND_TRANSFER, 0, 275, "fd offset to_fd to_offset size argument"),
    Call("tee", "tee", KIND_TRANSFER, 0, 276, "fd to_fd size argument"),
    Call("vmsplice", "vmsplice", KIND_PLAIN, VECTORED, 278, "fd - - argument"),
    Call("copy_file_range", "copy_file_range", KIND_TRANSFER, 0, 326, "fd offset to_fd to_offset size argument"),
    Call("ioctl", "reflink", KIND_IOCTL, 0, 16, "fd"),
    Call("ioctl", "dedupe", KIND_IOCTL, 0, 16, "fd", other=True),
]

_TASKS: Final = [
    Call("fork", "fork", KIND_FORK, nr=57),
    Call("vfork", "fork", KIND_FORK, nr=58),
    Call("clone", "fork", KIND_FORK, nr=56),
    Call("clone3", "fork", KIND_FORK, nr=435),
    Call("clone", "thread", KIND_FORK, nr=56, other=True),
    Call("clone3", "thread", KIND_FORK, nr=435, other=True),
    Call("execve", "exec", KIND_EXEC, 0, 59, "name"),
    Call("execveat", "exec", KIND_EXEC, ENTER, 322, "dir name"),
    Call("exit", "exit"),
    Call("page_fault_user", "fault"),
    Call("page_fault_kernel", "fault"),
]

_METADATA: Final = [
    *_plain(
        "stat",
        """
        stat 4 name
        lstat 6 name
        fstat 5 fd
        newfstatat 262 dir name
        statx 332 dir name
        """,
    ),
    *_plain("statfs", "statfs 137 name\nfstatfs 138 fd", ANY),
    *_plain("access", "access 21 name size\nfaccessat 269 dir name size\nfaccessat2 439 dir name size"),
    *_plain("readlink", "readlink 89 name - size\nreadlinkat 267 dir name - size"),
    *_plain("getdents", "getdents 78 fd - size\ngetdents64 217 fd - size", ANY),
    *_plain("getxattr", "getxattr 191 name\nlgetxattr 192 name\nfgetxattr 193 fd\ngetxattrat 464 dir name"),
    *_plain("setxattr", "setxattr 188 name\nlsetxattr 189 name\nfsetxattr 190 fd\nsetxattrat 463 dir name argument"),
    *_plain("listxattr", "listxattr 194 name\nllistxattr 195 name\nflistxattr 196 fd\nlistxattrat 465 dir name"),
    *_plain("removexattr", "removexattr 197 name\nlremovexattr 198 name\nfremovexattr 199 fd\nremovexattrat 466 dir name argument"),
    *_plain("handle", "name_to_handle_at 303 dir name"),
]

_MEMORY: Final = [
    Call("mmap", "mmap", KIND_MMAP, 0, 9, "- size argument - fd offset"),
    Call("munmap", "munmap", KIND_MAPPED, ENTER, 11, "- size"),
    Call("mremap", "mremap", KIND_MAPPED, ENTER, 25, "- - size argument"),
    Call("mprotect", "mprotect", KIND_MAPPED, 0, 10, "- size argument"),
    Call("pkey_mprotect", "mprotect", KIND_MAPPED, 0, 329, "- size argument"),
    Call("madvise", "madvise", KIND_MAPPED, 0, 28, "- size argument"),
    Call("msync", "sync", KIND_MAPPED, 0, 26, "- size argument"),
]

_NAMESPACE: Final = [
    *_plain(
        "rename",
        """
        rename 82 name to_name
        renameat 264 dir name to_dir to_name
        renameat2 316 dir name to_dir to_name argument
        """,
        MOVES,
    ),
    *_plain("link", "link 86 name to_name\nlinkat 265 dir name to_dir to_name argument"),
    *_plain("symlink", "symlink 88 name to_name\nsymlinkat 266 name to_dir to_name"),
    *_plain("unlink", "unlink 87 name\nunlinkat 263 dir name"),
    *_plain("mkdir", "mkdir 83 name size\nmkdirat 258 dir name size"),
    *_plain("rmdir", "rmdir 84 name", MOVES),
    Call("unlinkat", "rmdir", KIND_PLAIN, MOVES, 263, "dir name", other=True),
    *_plain("mknod", "mknod 133 name size offset\nmknodat 259 dir name size offset"),
    Call("chdir", "chdir", KIND_CHDIR, 0, 80, "name"),
    Call("chroot", "chdir", KIND_CHDIR, MOVES, 161, "name"),
    *_plain("chdir", "fchdir 81 fd", ANY),
    *_plain("mount", "mount 165 name to_name - argument\nmove_mount 429 dir name to_dir to_name argument", MOVES | ENTER),
    *_plain("mount", "pivot_root 155 name to_name", MOVES | ENTER),
    *_plain("umount", "umount2 166 name argument", MOVES | ENTER),
]

_ATTRIBUTES: Final = [
    *_plain(
        "setattr",
        """
        chmod 90 name size
        fchmod 91 fd size
        fchmodat 268 dir name size
        fchmodat2 452 dir name size argument
        chown 92 name offset size
        fchown 93 fd offset size
        lchown 94 name offset size
        fchownat 260 dir name offset size argument
        utime 132 name
        utimes 235 name
        futimesat 261 dir name
        utimensat 280 dir name - argument
        file_setattr 469 dir name - - argument
        """,
    ),
    *_plain("truncate", "truncate 76 name size\nftruncate 77 fd size"),
    *_plain("fallocate", "fallocate 285 fd argument offset size"),
]

_POSITION: Final = [
    *_plain("seek", "lseek 8 fd offset size"),
    *_plain("sync", "fsync 74 fd\nfdatasync 75 fd\nsync_file_range 277 fd offset size argument\nsyncfs 306 fd\nsync 162 -"),
    *_plain("readahead", "readahead 187 fd offset size"),
    *_plain("advise", "fadvise64 221 fd offset size argument"),
    *_plain("lock", "flock 73 fd argument"),
    Call("fcntl", "lock", KIND_FCNTL, 0, 72, "fd", other=True),
]


def _ring(name: str, opcode: int, like: str, recipe: str, **changes: Any) -> Call:
    """Return an io_uring operation that is read as the corresponding system call."""
    call = next(call for call in _SYSTEM if call.name == like and not call.other)
    return call._replace(name=f"io_uring:{name}", nr=MAX_NR + opcode, recipe=recipe, **changes)


def _moving(name: str, opcode: int, like: str, recipe: str = "FALO.P") -> Call:
    """Return a read or write: the probe has added up the requested size when it is submitted."""
    return _ring(name, opcode, like, recipe, flags=POSITIONAL | RWF, shape="fd - size offset")


_SYSTEM: Final = [*_OPENING, *_MOVING, *_TASKS, *_METADATA, *_MEMORY, *_NAMESPACE, *_ATTRIBUTES, *_POSITION]

_RING: Final = [
    _moving("readv", 1, "preadv2"),
    _moving("writev", 2, "pwritev2"),
    _ring("fsync", 3, "fsync", "F"),
    _moving("read_fixed", 4, "preadv2"),
    _moving("write_fixed", 5, "pwritev2"),
    _ring("sync_file_range", 8, "sync_file_range", "FOLP"),
    _ring("fallocate", 17, "fallocate", "FLOA"),
    _ring("openat", 18, "openat", "FAPL"),
    _ring("close", 19, "close", "F"),
    _ring("statx", 21, "statx", "FA"),
    _moving("read", 22, "preadv2"),
    _moving("write", 23, "pwritev2"),
    _ring("fadvise", 24, "fadvise64", "FOLP"),
    _ring("madvise", 25, "madvise", "ALP"),
    _ring("openat2", 28, "openat2", "FAO"),
    _ring("splice", 30, "splice", "SAFOLP", flags=POSITIONAL),
    _ring("tee", 33, "tee", "SFLP"),
    _ring("renameat", 35, "renameat2", "FALOP"),
    _ring("unlinkat", 36, "unlinkat", "FAP"),
    _ring("unlinkat", 36, "unlinkat", "FAP", op="rmdir", other=True),
    _ring("mkdirat", 37, "mkdirat", "FAL"),
    _ring("symlinkat", 38, "symlinkat", "AFO"),
    _ring("linkat", 39, "linkat", "FALOP"),
    _ring("fsetxattr", 41, "fsetxattr", "F"),
    _ring("setxattr", 42, "setxattr", "3"),
    _ring("fgetxattr", 43, "fgetxattr", "F"),
    _ring("getxattr", 44, "getxattr", "3"),
    _moving("read_multishot", 49, "preadv2", "F.LO"),
    _ring("ftruncate", 55, "ftruncate", "FO"),
    _moving("readv_fixed", 60, "preadv2"),
    _moving("writev_fixed", 61, "pwritev2"),
]

HOOKS: Final = tuple(
    Call(function, op)
    for function, op in (
        ("security_file_open", "open"),
        ("security_file_permission", "read"),
        ("security_file_permission", "write"),
        ("security_file_permission", "modify"),
        ("security_inode_getattr", "stat"),
        ("security_path_mkdir", "mkdir"),
        ("security_path_rmdir", "rmdir"),
        ("security_path_mknod", "mknod"),
        ("security_path_link", "link"),
        ("security_path_symlink", "symlink"),
        ("security_path_unlink", "unlink"),
        ("security_path_rename", "rename"),
        ("security_path_chmod", "setattr"),
        ("security_path_chown", "setattr"),
        ("vfs_utimes", "setattr"),
        ("security_path_truncate", "truncate"),
        ("security_path_truncate", "modify"),
        ("security_file_truncate", "truncate"),
        ("security_file_truncate", "modify"),
        ("security_mmap_file", "mmap"),
        ("security_bprm_check", "exec"),
        ("security_inode_permission", "permission"),
    )
)
"""The hooks below the system calls, by the kernel's function, in the order of ``enum hook`` of bpf/event.h."""

CALLS: Final = (Call("", "none"), *_SYSTEM, *_RING, *HOOKS)
"""The index is ``event.call``; it is the same on every architecture."""

CALL_NUMBER: Final = {call.name: number for number, call in reversed(list(enumerate(CALLS)))}
"""The first index of a name: some occur twice, because their number has two meanings."""
FIRST_HOOK: Final = len(CALLS) - len(HOOKS)
"""The index of the first of HOOKS."""

NAMESPACE_CALLS: Final = {"unshare": 272, "setns": 308}
"""Calls without an event that give a task other namespaces: like those of MOVES they change the meaning of its paths."""

ALIASES: Final = {
    "newstat": "stat",
    "newlstat": "lstat",
    "newfstat": "fstat",
    "fstatat": "newfstatat",
    "sendfile64": "sendfile",
    "umount": "umount2",
    "pread": "pread64",
    "pwrite": "pwrite64",
}
"""Names of these calls in the tracepoints and the C library."""

BYTE_OPS: Final = ("read", "write", "sendfile", "splice", "tee", "vmsplice", "copy_file_range")
"""Operations whose result is a number of bytes."""

SETGROUPS: Final = 116
"""x86-64's number of a call that is no operation, but changes a task's user."""

GROUPS: Final = {
    "open": ("open",),
    "io": (*BYTE_OPS, "reflink", "dedupe"),
    "transfer": (*BYTE_OPS[2:], "reflink", "dedupe"),
    "descriptor": ("open", "close", "dup", "lock"),
    "metadata": ("stat", "statfs", "access", "readlink", "getdents", "getxattr", "listxattr", "handle"),
    "memory": ("mmap", "munmap", "mremap", "mprotect", "madvise", "fault"),
    "namespace": ("rename", "link", "symlink", "unlink", "mkdir", "rmdir", "mknod", "mount", "umount"),
    "attributes": ("setattr", "truncate", "fallocate", "setxattr", "removexattr"),
    "position": ("seek", "readahead", "advise"),
    "process": ("fork", "thread", "exec", "exit"),
    "vfs": tuple(dict.fromkeys(hook.op for hook in HOOKS)),
    "all": tuple(OPS[1:]),
}
"""Names that ``-e`` takes besides ops and calls; a name that is both means the group."""

CHANGES: Final = {
    **dict.fromkeys(("setattr", "truncate", "setxattr", "removexattr", "link"), "file"),
    **dict.fromkeys(("rename", "unlink", "rmdir", "mkdir", "mknod"), "entry"),
    "symlink": "target",
}
"""What operations by name change: the file that the name leads to; the name itself, in its directory, which a second name
always is; or only a second name."""
NOFOLLOW: Final = frozenset(("lchown", "lsetxattr", "lremovexattr"))
"""Calls that change a symbolic link itself. Others do with AT_SYMLINK_NOFOLLOW, and link does without AT_SYMLINK_FOLLOW."""

DEFAULT_OPS: Final = tuple(op for op in OPS[1:] if op not in ("stat", "fault", "seek", "modify", "permission", *GROUPS["process"]))
"""Without ``-e``: operations that are neither very frequent nor about processes, nor reported by another one already."""

WATCH_OPS: Final = tuple(op for op in (*DEFAULT_OPS, "exec") if op != "close")
"""The default for watched files: executing one is an access. close is not included, because it would need a hook at the entry
of every process's calls."""
