/* A 32-bit open(2), number 5: the 64-bit call of that number is fstat(2). What it has opened is read with a 64-bit call. */
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
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	char buffer[100];

	signal(SIGSEGV, refuse);
	CHECK(low != MAP_FAILED);
	make_file("data", 1000);
	strcpy(low, "data");
	int fd = int80(5, (long)low, O_RDONLY, 0);
	if (fd < 0)
		refuse(0);
	long result = outcome(syscall(SYS_pread64, fd, buffer, 100L, 930L));

	CHECK(result == 70);
	puts("{\"op\":\"stat\",\"none\":true}");
	expect("read", "pread64", "%s,\"fd\":%d,\"offset\":930,\"size\":100,\"result\":%ld", path("data"), fd, result);
	return 0;
}
