/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Structures and constants that are the same in all kernels: those of include/uapi/, and a few that no kernel has changed.
 *
 * Separate from kernel.h, because BTF has no constants, and these structures are read without CO-RE.
 */
#ifndef FILETAP_UAPI_H
#define FILETAP_UAPI_H

/* include/uapi/linux/io_uring.h: its layout is fixed, so it is read without CO-RE. */
struct io_uring_sqe {
	__u8 opcode;
	__u8 flags;
	__u16 ioprio;
	__s32 fd;
	__u64 off;
	__u64 addr;
	__u32 len;
	__u32 op_flags;
	__u64 user_data;
	__u16 buf_index;
	__u16 personality;
	__s32 splice_fd_in;
	__u64 addr3;
	__u64 reserved;
};
struct io_uring_cqe {
	__u64 user_data;
	__s32 res;
	__u32 flags;
};
#define IOSQE_FIXED_FILE 1
#define IOSQE_CQE_SKIP_SUCCESS 64
#define IORING_CQE_F_MORE 2
#define IORING_SETUP_SQE128 (1u << 10)
#define IORING_SETUP_NO_SQARRAY (1u << 16)
#define PF_IO_WORKER 0x10
#define PF_KTHREAD 0x200000

/* include/uapi/linux/aio_abi.h, and the ring that is mapped at a context's address: this, then its completions (fs/aio.c). */
struct iocb {
	__u64 aio_data;
	__u32 aio_key;
	__u32 aio_rw_flags;
	__u16 aio_lio_opcode;
	__s16 aio_reqprio;
	__u32 aio_fildes;
	__u64 aio_buf;
	__u64 aio_nbytes;
	__u64 aio_offset;
	__u64 aio_reserved2;
	__u32 aio_flags;
	__u32 aio_resfd;
};
struct io_event {
	__u64 data;
	__u64 obj;
	__s64 res;
	__s64 res2;
};
struct aio_ring {
	__u32 id;
	__u32 nr;
	__u32 head;
	__u32 tail;
	__u32 magic;
	__u32 compat_features;
	__u32 incompat_features;
	__u32 header_length;
};
#define AIO_RING_MAGIC 0xa10a10a1

#define S_IFMT 0170000
#define S_IFREG 0100000
#define S_ISREG(mode) (((mode) & S_IFMT) == S_IFREG)
#define S_IFBLK 0060000
#define S_IFDIR 0040000
#define O_CREAT 0100
#define O_WRONLY 01
#define O_RDWR 02
#define O_TRUNC 01000
#define O_APPEND 02000
#define AT_FDCWD (-100)
#define DCACHE_OP_COMPARE 2
#define AT_REMOVEDIR 0x200
#define RESOLVE_BENEATH 0x08
#define RESOLVE_IN_ROOT 0x10
#define MS_REMOUNT 32
#define MS_BIND 4096
#define MS_MOVE 8192
#define MS_PROPAGATION (15 << 17) /* MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED */
#define MS_MGC_VAL 0xc0ed0000
#define MS_MGC_MSK 0xffff0000
#define MAP_ANONYMOUS 0x20
#define PAGE_SHIFT 12
#define FICLONE 0x40049409
#define FICLONERANGE 0x4020940d
#define FIDEDUPERANGE 0xc0189436
#define F_SETLK 6
#define F_SETLKW 7
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#define CLOSE_RANGE_UNSHARE 2ul
#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030
#define RWF_APPEND 0x10
#define RWF_NOAPPEND 0x20
#define TS_COMPAT 2
#define SIGNAL_GROUP_EXIT 4
#define BTRFS_SUPER_MAGIC 0x9123683e
#define CGROUP2_SUPER_MAGIC 0x63677270
#define ANON_INODE_FS_MAGIC 0x09041934
#define NSFS_MAGIC 0x6e736673
#define DMA_BUF_MAGIC 0x444d4142
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define TMPFS_MAGIC 0x01021994
#define ENOENT 2
#define E2BIG 7
#define EFAULT 14
#define ENOSYS 38

#endif
