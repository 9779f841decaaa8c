/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Numbers of system calls and of io_uring's operations that probes treat specially.
 *
 * Separate from kernel.h, because they are fixed for ever: the kernel's types do not contain them.
 */
#ifndef FILETAP_NUMBERS_H
#define FILETAP_NUMBERS_H

/* arch/x86/entry/syscalls/syscall_64.tbl */
#define NR_IOCTL 16
#define NR_EXECVE 59
#define NR_SYMLINK 88
#define NR_CHROOT 161
#define NR_MOUNT 165
#define NR_IO_SUBMIT 209
#define NR_UNLINKAT 263
#define NR_SYMLINKAT 266
#define NR_FALLOCATE 285
#define NR_RENAMEAT2 316
#define NR_EXECVEAT 322
#define NR_IO_URING_ENTER 426
#define NR_CLOSE_RANGE 436

/* syscall_32.tbl */
#define NR32_LINK 9
#define NR32_EXECVE 11
#define NR32_MOUNT 21
#define NR32_RENAME 38
#define NR32_RMDIR 40
#define NR32_UMOUNT2 52
#define NR32_IOCTL 54
#define NR32_CHROOT 61
#define NR32_SETGROUPS 81
#define NR32_SYMLINK 83
#define NR32_SETGROUPS32 206
#define NR32_PIVOT_ROOT 217
#define NR32_IO_SUBMIT 248
#define NR32_UNLINKAT 301
#define NR32_RENAMEAT 302
#define NR32_LINKAT 303
#define NR32_SYMLINKAT 304
#define NR32_UNSHARE 310
#define NR32_FALLOCATE 324
#define NR32_SETNS 346
#define NR32_RENAMEAT2 353
#define NR32_EXECVEAT 358
#define NR32_IO_URING_ENTER 426
#define NR32_MOVE_MOUNT 429

/* Returns true if this is the number of the call of this name. 'narrow': in the table of 32-bit calls. */
#define is_call(narrow, nr, name) ((__u32)(nr) == ((narrow) ? NR32_##name : NR_##name))

/* enum io_uring_op of include/uapi/linux/io_uring.h */
#define RING_READV 1
#define RING_WRITEV 2
#define RING_RENAMEAT 35
#define RING_UNLINKAT 36
#define RING_SYMLINKAT 38
#define RING_LINKAT 39
#define RING_READV_FIXED 60
#define RING_WRITEV_FIXED 61

#endif
