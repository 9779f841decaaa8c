// SPDX-License-Identifier: Apache-2.0
/*
 * The workload that reads without a read call: io_uring(7), without liburing.
 *
 * uring FILE COUNT    COUNT reads of a block, all over FILE, 32 with each io_uring_enter, which waits for all of them
 *
 * One JSON line, see outcome.h.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "outcome.h"

#define BLOCK 4096
#define DEPTH 32
#define STRIDE 40503 /* blocks from one read to the next: odd, and larger than the read-ahead */

struct ring {
	int fd;
	unsigned int *submitted, *completed, *collected, mask;
	struct io_uring_sqe *requests;
	struct io_uring_cqe *completions;
};

static void *mapped(int fd, size_t size, off_t what)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

	if (at == MAP_FAILED)
		fail("mmap");
	return at;
}

static void set_up(struct ring *ring)
{
	struct io_uring_params given = { 0 };
	char *at;

	ring->fd = syscall(SYS_io_uring_setup, DEPTH, &given);
	if (ring->fd < 0)
		fail("io_uring_setup");
	at = mapped(ring->fd, given.cq_off.cqes + given.cq_entries * sizeof(*ring->completions), IORING_OFF_SQ_RING);
	ring->requests = mapped(ring->fd, DEPTH * sizeof(*ring->requests), IORING_OFF_SQES);
	ring->submitted = (void *)(at + given.sq_off.tail);
	ring->completed = (void *)(at + given.cq_off.tail), ring->collected = (void *)(at + given.cq_off.head);
	ring->completions = (void *)(at + given.cq_off.cqes), ring->mask = given.cq_entries - 1;
	for (unsigned int i = 0; i < DEPTH; i++)
		((unsigned int *)(at + given.sq_off.array))[i] = i;
}

static void submit(struct ring *ring, int fd, long blocks, unsigned int count)
{
	static char block[BLOCK];
	unsigned int from = *ring->submitted;

	for (unsigned int i = 0; i < count; i++)
		ring->requests[(from + i) % DEPTH] = (struct io_uring_sqe){
			.opcode = IORING_OP_READ,
			.fd = fd,
			.off = (unsigned long)(from + i) * STRIDE % blocks * BLOCK,
			.addr = (unsigned long)block,
			.len = BLOCK,
		};
	__atomic_store_n(ring->submitted, from + count, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, count, count, IORING_ENTER_GETEVENTS, NULL, 0) != count)
		fail("io_uring_enter");
}

static long long collect(struct ring *ring)
{
	unsigned int at = *ring->collected, end = __atomic_load_n(ring->completed, __ATOMIC_ACQUIRE);
	long long bytes = 0;

	for (; at != end; at++)
		bytes += ring->completions[at & ring->mask].res;
	__atomic_store_n(ring->collected, at, __ATOMIC_RELEASE);
	return bytes;
}

int main(int argc, char **argv)
{
	struct ring ring = { 0 };
	long long bytes = 0;
	struct stat found;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "see the head of bench/uring.c\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY);
	if (fd < 0 || fstat(fd, &found))
		fail(argv[1]);
	set_up(&ring);
	begin();
	for (long left = atol(argv[2]); left > 0; left -= DEPTH) {
		submit(&ring, fd, found.st_size / BLOCK, left < DEPTH ? left : DEPTH);
		bytes += collect(&ring);
	}
	say("read", atol(argv[2]), bytes, since());
	return 0;
}
