/* A 32-bit read(2), number 3: the 64-bit call of that number is close(2), but nothing is closed. A 64-bit close is reported. */
#include "int80.h"

int main(void)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	signal(SIGSEGV, refuse);
	CHECK(low != MAP_FAILED);
	CHECK(!mknod("data", S_IFREG | 0644, 0));
	CHECK(!truncate("data", 1000));
	int fd = open_file("data", O_RDONLY), other = open_file("other", O_CREAT | O_RDWR);
	const char *status = identity_of(other);
	if (int80(3, fd, (long)low, 100) != 100)
		refuse(0);
	CHECK(lseek(fd, 0, SEEK_CUR) == 100);
	long closed = outcome(syscall(SYS_close, other));

	expect("close", "close", "%s,%s,\"fd\":%d,\"result\":%ld", path("other"), status, other, closed);
	return 0;
}
