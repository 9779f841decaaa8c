/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring by its system calls alone: set up, push a request, submit, take a completion. No liburing: a case contains exactly
 * what is submitted to the kernel. Separate from case.h, because few cases need it.
 *
 *	struct uring ring = uring_setup(0);
 *	uring_push(&ring, IORING_OP_READ, fd, buffer, 100, 4096);
 *	expect("read", "io_uring:read", "\"fd\":%d,\"offset\":4096,\"result\":%d", fd, uring_run(&ring));
 */
#ifndef URING_H
#define URING_H

#include "case.h"
#include <linux/io_uring.h>

#define RING_ENTRIES 8

/* Newer than the headers of some distributions. */
#define RING_OP_FTRUNCATE 55

struct uring {
	int fd;
	unsigned tail; /* of the requests pushed */
	unsigned submitted; /* of them, those submitted to the kernel */
	unsigned *sq_tail, *sq_flags, *cq_head, *cq_tail;
	unsigned sq_mask, cq_mask, flags;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static inline void *ring_map(int fd, size_t size, off_t what)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

	CHECK(at != MAP_FAILED);
	return at;
}

/* The flags are those of io_uring_setup(2): IORING_SETUP_SQPOLL, ... */
static inline struct uring uring_setup(unsigned flags)
{
	struct io_uring_params p = { .flags = flags, .sq_thread_idle = 2000 };
	struct uring ring = { .fd = syscall(SYS_io_uring_setup, RING_ENTRIES, &p), .flags = flags };
	unsigned *array;
	char *sq, *cq;

	if (ring.fd < 0)
		cannot("io_uring");
	sq = ring_map(ring.fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	cq = ring_map(ring.fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	ring.sqes = ring_map(ring.fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	ring.cqes = (void *)(cq + p.cq_off.cqes);
	ring.sq_tail = (void *)(sq + p.sq_off.tail);
	ring.sq_flags = (void *)(sq + p.sq_off.flags);
	ring.cq_head = (void *)(cq + p.cq_off.head);
	ring.cq_tail = (void *)(cq + p.cq_off.tail);
	ring.sq_mask = p.sq_entries - 1;
	ring.cq_mask = p.cq_entries - 1;
	array = (void *)(sq + p.sq_off.array);
	for (unsigned i = 0; i < p.sq_entries; i++)
		array[i] = i;
	return ring;
}

/* Adds a request; the caller sets other members (flags, ...) of the returned entry before it is submitted. */
static inline struct io_uring_sqe *uring_push(struct uring *ring, int op, int fd, const void *address, unsigned length,
					      unsigned long offset)
{
	struct io_uring_sqe *sqe = &ring->sqes[ring->tail & ring->sq_mask];

	CHECK(ring->tail - ring->submitted < RING_ENTRIES);
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (unsigned long)address;
	sqe->len = length;
	sqe->off = offset;
	sqe->user_data = ring->tail++;
	return sqe;
}

/* Submits all added requests. Does not wait. With SQPOLL the kernel thread takes them; it is woken if it sleeps. */
static inline void uring_submit(struct uring *ring)
{
	unsigned count = ring->tail - ring->submitted;

	__atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_SEQ_CST);
	ring->submitted = ring->tail;
	if (!(ring->flags & IORING_SETUP_SQPOLL))
		CHECK(syscall(SYS_io_uring_enter, ring->fd, count, 0, 0, NULL, 0) == count);
	else if (__atomic_load_n(ring->sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP)
		CHECK(syscall(SYS_io_uring_enter, ring->fd, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0) >= 0);
}

/* Returns the next completion's result: a value, or the negative error. */
static inline int uring_wait(struct uring *ring)
{
	unsigned head = *ring->cq_head;
	int result;

	while (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
		if (syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
			CHECK(errno == EINTR);
	result = ring->cqes[head & ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}

static inline int uring_run(struct uring *ring)
{
	uring_submit(ring);
	return uring_wait(ring);
}

/* Registers files (IORING_REGISTER_FILES) or buffers (IORING_REGISTER_BUFFERS), to be used by their index. */
static inline void uring_register(struct uring *ring, int what, const void *items, unsigned count)
{
	CHECK(!syscall(SYS_io_uring_register, ring->fd, what, items, count));
}

/* Ends the case if this kernel does not have the request. */
static inline void uring_need(struct uring *ring, unsigned op, const char *facility)
{
	struct {
		struct io_uring_probe head;
		struct io_uring_probe_op ops[256];
	} probe = { 0 };

	uring_register(ring, IORING_REGISTER_PROBE, &probe, 256);
	if (op > probe.head.last_op || !(probe.ops[op].flags & IO_URING_OP_SUPPORTED))
		cannot(facility);
}

#endif
