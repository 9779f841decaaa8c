// SPDX-License-Identifier: Apache-2.0
/*
 * Renames by calls that libraries do not use, and thousands of names.
 * Usage: identity compat OLD NEW | identity ring OLD NEW | identity names DIRECTORY COUNT DISTINCT
 */
#include "../conformance/uring.h"

#define COMPAT_RENAME 38

static long int80(long nr, long a, long b)
{
	long result;

	asm volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b) : "memory", "r8", "r9", "r10", "r11");
	return result;
}

/* A 32-bit call: its pointers must fit in 32 bits. */
static int rename_compat(const char *from, const char *to)
{
	char *low = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	CHECK(low != MAP_FAILED);
	strcpy(low, from);
	strcpy(low + 4096, to);
	return int80(COMPAT_RENAME, (long)low, (long)low + 4096);
}

static int rename_ring(const char *from, const char *to)
{
	struct uring ring = uring_setup(0);

	uring_push(&ring, IORING_OP_RENAMEAT, AT_FDCWD, from, AT_FDCWD, (unsigned long)to);
	return uring_run(&ring);
}

/* Looks up COUNT relative names, DISTINCT ones in turn; none exists. */
static int ask(const char *directory, int count, int distinct)
{
	char name[64];

	CHECK(!chdir(directory));
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "name%d", i % distinct);
		CHECK(syscall(SYS_access, name, F_OK) == -1);
	}
	return 0;
}

int main(int argc, char **argv)
{
	CHECK(argc >= 4);
	if (!strcmp(argv[1], "compat"))
		return rename_compat(argv[2], argv[3]) != 0;
	if (!strcmp(argv[1], "ring"))
		return rename_ring(argv[2], argv[3]) != 0;
	return ask(argv[2], atoi(argv[3]), atoi(argv[4]));
}
