/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A call's arguments, by the number that its shape gives, and the data they point to in the caller's memory.
 *
 * Separate, because io_uring's requests are put into the same registers.
 */
#ifndef FILETAP_ARGUMENT_H
#define FILETAP_ARGUMENT_H

#include "../event.h"
#include "compat.bpf.h"
#include "kernel.h"

/* Return an argument of a system call, counted from 1; 0 for none. */
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

#define MAX_IOVECS 1024
#define NO_SUM (~0ull)

/* Return the sum of at most STEPS_AT_ONCE lengths. */
__noinline __u64 sum_some(__u64 base, __u32 count)
{
	__u64 sum = 0, iovec[2];

	for (__u32 i = 0; i < STEPS_AT_ONCE && i < count; i++) {
		if (bpf_probe_read_user(iovec, sizeof(iovec), (void *)(base + i * sizeof(iovec))))
			return NO_SUM;
		sum += iovec[1];
	}
	return sum;
}

/* Return the sum of all lengths, or NO_SUM. A global function, which is verified once. */
__noinline __u64 sum_all(__u64 base, __u32 count)
{
	__u64 sum = 0, some = count > MAX_IOVECS ? NO_SUM : 0;

	for (__u32 i = 0; i < MAX_IOVECS && i < count && some != NO_SUM; i += STEPS_AT_ONCE) {
		some = sum_some(base + i * 2 * sizeof(__u64), count - i);
		sum += some;
	}
	return some == NO_SUM ? NO_SUM : sum;
}

static __always_inline __u64 iovec_sum(__u64 base, __u32 count, __u32 *flags)
{
	__u64 sum = sum_all(base, count);

	if (sum != NO_SUM)
		return sum;
	*flags |= EVENT_NO_SIZE;
	return 0;
}

#endif
