/* 32-bit calls whose numbers are those of readv(2) and writev(2): lseek(2) 19 and getpid(2) 20. The true ones beside them are told. */
#include "case.h"
#include <signal.h>
#include <sys/uio.h>

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
	struct iovec *piece = (void *)low;

	signal(SIGSEGV, refuse);
	CHECK(low != MAP_FAILED);
	int fd = open_file("data", O_CREAT | O_RDWR);
	piece->iov_base = low + 100;
	piece->iov_len = 50;
	if (int80(20, fd, (long)piece, 1) != getpid())
		refuse(0);
	long written = outcome(syscall(SYS_writev, fd, piece, 1));
	CHECK(int80(19, fd, 10, SEEK_SET) == 10);
	long got = outcome(syscall(SYS_readv, fd, piece, 1));

	CHECK(written == 50 && got == 40);
	expect("write", "writev", "%s,%s,\"fd\":%d,\"offset\":0,\"size\":50,\"result\":%ld", path("data"), identity_of(fd), fd, written);
	expect("read", "readv", "%s,%s,\"fd\":%d,\"offset\":10,\"size\":50,\"result\":%ld", path("data"), identity_of(fd), fd, got);
	return 0;
}
