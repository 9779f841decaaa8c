/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 32-bit calls made by a 64-bit program, whose numbers are from another table. Separate, because all cases of
 * cases/compat that make one need the same few lines.
 */
#ifndef INT80_H
#define INT80_H

#include "case.h"
#include <signal.h>

#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

/* A 32-bit call from a 64-bit program; pointers must be below 4 GB. */
static inline long int80(long number, long a, long b, long c)
{
	long result = -ENOSYS;

#ifdef __x86_64__
	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
#endif
	return result;
}

/* int $0x80 is an invalid instruction if the kernel has no 32-bit calls. */
static inline void refuse(int number)
{
	(void)number;
	cannot("32-bit calls (CONFIG_IA32_EMULATION)");
}

#endif
