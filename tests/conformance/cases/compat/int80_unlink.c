/* A 32-bit unlink(2), number 10, of a name that stands in a mapped file: the 64-bit call of that number is mprotect(2). */
#include "case.h"
#include <signal.h>

#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

/* A 32-bit call from a 64-bit program; pointers must be below 4 GB. */
static long int80(long number, long a, long b, long c)
{
	long result = -ENOSYS;

#ifdef __x86_64__
	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
#endif
	return result;
}

/* int $0x80 is an invalid instruction where the kernel has no 32-bit calls. */
static void refuse(int number)
{
	(void)number;
	cannot("32-bit calls (CONFIG_IA32_EMULATION)");
}

int main(void)
{
	signal(SIGSEGV, refuse);
	make_file("data", 0);
	int fd = open_file("names", O_CREAT | O_RDWR);
	CHECK(write(fd, "data", 5) == 5);
	char *low = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_32BIT, fd, 0);
	CHECK(low != MAP_FAILED);
	if (int80(10, (long)low, 4096, PROT_NONE))
		refuse(0);
	CHECK(access("data", F_OK) == -1 && errno == ENOENT && *low == 'd');

	puts("{\"op\":\"mprotect\",\"none\":true}");
	return 0;
}
