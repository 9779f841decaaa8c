/* 32-bit calls with the numbers of readv(2) and writev(2): lseek(2) 19 and getpid(2) 20. Real ones are made too, and reported. */
#include "int80.h"
#include <sys/uio.h>

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
