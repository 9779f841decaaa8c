/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A call's arguments, by the number that its shape gives, and what they point to in the caller's memory.
 * Apart, because io_uring's requests are brought into the same registers. Next: lib/subject.bpf.h.
 */
#ifndef FILETAP_ARGUMENT_H
#define FILETAP_ARGUMENT_H

#include "state.bpf.h"

/* The arguments of a system call, from the first; 0 for none. */
static __always_inline __u64 argument(const struct pt_regs *regs, __u32 number)
{
	switch (number) {
	case 1:
		return regs->di;
	case 2:
		return regs->si;
	case 3:
		return regs->dx;
	case 4:
		return regs->r10;
	case 5:
		return regs->r8;
	case 6:
		return regs->r9;
	}
	return 0;
}

struct iovecs {
	__u64 base;
	__u64 sum;
	__u32 left;
	__u32 failed;
};

static inline long add_iovec(__u32 index, void *context)
{
	struct iovecs *v = context;
	__u64 iovec[2];

	if (index >= v->left)
		return 1;
	if (bpf_probe_read_user(iovec, sizeof(iovec), (void *)(v->base + index * sizeof(iovec)))) {
		v->failed = 1;
		return 1;
	}
	v->sum += iovec[1];
	return 0;
}

SUBPROGRAM __u64 iovec_sum(__u64 base, __u32 count, __u32 *flags)
{
	struct iovecs v = { .base = base, .left = count };

	bpf_loop(1024, add_iovec, &v, 0);
	if (v.failed || count > 1024)
		*flags |= EVENT_NO_SIZE;
	return v.sum;
}

#endif
