"""The arguments of each system call: the key to the output of strace and bpftrace.

Separate from filetap's own table, which is tested here; written from the manual pages. Words are members of an event,
except dir and name (a path and its start directory), vector (struct iovec), and a dash for arguments that are not
compared; to_ is of the target.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Shape(NamedTuple):
    op: str
    words: tuple[str, ...]


_CALLS: Final = """
open: open name flags mode; openat dir name flags mode; openat2 dir name how; creat name mode; open_by_handle_at - - flags;
    memfd_create - -
close: close fd; close_range - -
read: read fd - size; readv fd vector; pread64 fd - size offset; preadv fd vector - offset; preadv2 fd vector - offset;
    finit_module fd; kexec_file_load fd; io_submit - - requests
write: write fd - size; writev fd vector; pwrite64 fd - size offset; pwritev fd vector - offset; pwritev2 fd vector - offset
dup: dup fd; dup2 fd; dup3 fd; fcntl fd command; pidfd_getfd - -
stat: stat name; lstat name; fstat fd; newfstatat dir name; statx dir name
statfs: statfs name; fstatfs fd
access: access name flags; faccessat dir name flags; faccessat2 dir name flags
readlink: readlink name - size; readlinkat dir name - size
getdents: getdents fd - size; getdents64 fd - size
getxattr: getxattr name; lgetxattr name; fgetxattr fd; getxattrat dir name
setxattr: setxattr name; lsetxattr name; fsetxattr fd; setxattrat dir name
listxattr: listxattr name; llistxattr name; flistxattr fd; listxattrat dir name
removexattr: removexattr name; lremovexattr name; fremovexattr fd; removexattrat dir name
handle: name_to_handle_at dir name
mmap: mmap - size protection flags fd offset
munmap: munmap address size
mremap: mremap address - size flags
mprotect: mprotect address size protection; pkey_mprotect address size protection
madvise: madvise address size advice
rename: rename name to_name; renameat dir name to_dir to_name; renameat2 dir name to_dir to_name flags
link: link name to_name; linkat dir name to_dir to_name
symlink: symlink text to_name; symlinkat text to_dir to_name
unlink: unlink name; unlinkat dir name removal
mkdir: mkdir name mode; mkdirat dir name mode
rmdir: rmdir name
mknod: mknod name mode; mknodat dir name mode
setattr: chmod name mode; fchmod fd mode; fchmodat dir name mode; fchmodat2 dir name mode; chown name uid gid; fchown fd uid gid;
    lchown name uid gid; fchownat dir name uid gid; utime name; utimes name; futimesat dir name; utimensat dir name;
    file_setattr dir name
truncate: truncate name size; ftruncate fd size
fallocate: fallocate fd flags offset size
sendfile: sendfile to_fd fd offset size
splice: splice fd offset to_fd to_offset size
tee: tee fd to_fd size
vmsplice: vmsplice fd vector
copy_file_range: copy_file_range fd offset to_fd to_offset size
reflink: ioctl fd command
seek: lseek fd offset whence
sync: fsync fd; fdatasync fd; sync_file_range fd offset size; syncfs fd; msync address size; sync
readahead: readahead fd offset size
advise: fadvise64 fd offset size advice
lock: flock fd operation
chdir: chdir name; fchdir fd; chroot name
mount: mount name to_name; move_mount dir name to_dir to_name; pivot_root name to_name
umount: umount2 name
"""


def _shapes() -> dict[str, Shape]:
    found = {}
    for line in _CALLS.replace("\n    ", " ").strip().splitlines():
        op, calls = line.split(":")
        for call in calls.strip(" ;").split(";"):
            name, *words = call.split()
            found[name] = Shape(op, tuple(words))
    return found


SHAPES: Final = _shapes()
"""By the call's name. Two have several operations by their command: fcntl and ioctl; unlinkat and io_submit by an argument."""
