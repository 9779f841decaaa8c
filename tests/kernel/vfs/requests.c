// SPDX-License-Identifier: Apache-2.0
/* Operations by io_uring, io_submit and 32-bit calls, which no decoded system call reports. */
#include <linux/aio_abi.h>
#include <linux/io_uring.h>

#include "vfs.h"

/* Submits one request, which the kernel executes at once or gives to a worker. Returns its result. */
static int ring(unsigned char op, int fd, const void *address, unsigned length_, unsigned long offset, unsigned char flags)
{
	struct io_uring_params p = { 0 };
	int ring = syscall(SYS_io_uring_setup, 4, &p), result;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqe;

	CHECK(ring >= 0);
	sq = mmap(NULL, p.sq_off.array + 16, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + 8 * sizeof(*cqe), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqes = mmap(NULL, 4 * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	CHECK(sq != MAP_FAILED && cq != MAP_FAILED && (void *)sqes != MAP_FAILED);
	memset(sqes, 0, sizeof(*sqes));
	*sqes = (struct io_uring_sqe){
		.opcode = op, .flags = flags, .fd = fd, .addr = (unsigned long)address, .len = length_, .off = offset
	};
	*(unsigned *)(sq + p.sq_off.array) = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_SEQ_CST);
	CHECK(CALL(io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS) == 1);
	cqe = (void *)(cq + p.cq_off.cqes);
	result = cqe->res;
	close(ring);
	return result;
}

void rings(void)
{
	static char buffer[100];
	int fd, r;

	make("q", 0);
	fd = opened("q", O_RDWR);
	for (int i = 0; i < 2; i++) {
		unsigned char flags = i ? IOSQE_ASYNC : 0;

		r = ring(IORING_OP_WRITE, fd, buffer, 50, 0, flags);
		REPORT("write", i ? "worker" : "ring", .path = "q", INODE("q"), .hooks = WRITTEN, .result = r, .silent = true,
		       .unknown = true);
		r = ring(IORING_OP_READ, fd, buffer, 40, 0, flags);
		REPORT("read", i ? "worker" : "ring", .path = "q", INODE("q"), .result = r, .silent = true, .unknown = true);
	}
	close(fd);
}

void requests(void)
{
	static char buffer[100];
	struct io_event event;
	aio_context_t context = 0;
	int fd;

	make("p", 100);
	fd = opened("p", O_RDWR);
	CHECK(!syscall(SYS_io_setup, 4, &context));
	for (int write = 0; write < 2; write++) {
		struct iocb one = { .aio_fildes = fd,
				    .aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
				    .aio_buf = (long)buffer,
				    .aio_nbytes = 30 },
			    *list = &one;

		long long start = clock_ns();

		CHECK(CALL(io_submit, context, 1, &list) == 1 && CALL(io_getevents, context, 1, 1, &event) == 1);
		begun = start;
		REPORT(write ? "write" : "read", "io_submit", .path = "p", INODE("p"), .hooks = write ? WRITTEN : NULL, .result = event.res,
		       .silent = true, .unknown = true);
	}
	CHECK(!syscall(SYS_io_destroy, context) && !close(fd));
}

static long int80(long number, long a, long b, long c)
{
	long result = -ENOSYS;

#ifdef __x86_64__
	begun = clock_ns();
	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	ended = clock_ns();
#endif
	return (int)result;
}

/* Numbers of arch/x86/entry/syscalls/syscall_32.tbl. */
void narrow(void)
{
	char *low = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0), *more = low + 4096;
	unsigned long long inode;
	int fd;
	long r;

	CHECK(low != MAP_FAILED);
	strcpy(low, path_of("n"));
	strcpy(more, path_of("m"));
	r = int80(39, (long)low, 0700, 0);
	REPORT("mkdir", "mkdir", .path = "n", INODE("n"), .size = 0700, .result = r, .silent = true);
	r = int80(39, (long)low, 0700, 0);
	REPORT("mkdir", "mkdir", .path = "n", .size = 0700, .result = r, .early = true, .silent = true);
	inode = inode_of("n");
	r = int80(38, (long)low, (long)more, 0);
	REPORT("rename", "rename", .path = "n", .inode = inode, .target = target_at("m"), .result = r, .silent = true);
	inode = inode_of("m");
	r = int80(40, (long)more, 0, 0);
	REPORT("rmdir", "rmdir", .path = "m", .inode = inode, .result = r, .silent = true);
	make("n", 10);
	r = int80(15, (long)low, 0600, 0);
	REPORT("setattr", "chmod", .path = "n", INODE("n"), .size = 0600, .result = r, .silent = true);
	fd = int80(5, (long)low, O_RDWR, 0);
	REPORT("open", "open", .path = "n", INODE("n"), .offset = O_RDWR, .result = fd, .silent = true);
	r = int80(4, fd, (long)more, 5);
	REPORT("write", "write", .path = "n", INODE("n"), .hooks = WRITTEN, .result = r, .silent = true);
	close(fd);
	r = CALL(rename, path_of("absent"), path_of("m"));
	REPORT("rename", "rename", .path = "absent", .target.name = "m", .result = r, .early = true);
}
