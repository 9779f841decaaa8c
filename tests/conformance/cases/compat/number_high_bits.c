/* The number of read(2) with bits above the 32nd, which the kernel ignores: it is a read. */
#include "case.h"

int main(void)
{
	char buffer[100];

	make_file("data", 1000);
	int fd = open_file("data", O_RDONLY);
	long result = syscall(0x700000000L | SYS_read, fd, buffer, 100);
	if (result == -1 && errno == ENOSYS)
		cannot("a kernel that takes a call's number as 32 bits");

	CHECK(lseek(fd, 0, SEEK_CUR) == 100);
	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":0,\"size\":100,\"result\":%ld", path("data"), identity_of(fd), fd, result);
	return 0;
}
