/* read(2) begins at the position set by lseek(2), continues from there, and returns 0 beyond the end. */
#include "case.h"

static void take(int fd, long offset, size_t size)
{
	char content[1000];
	long result = outcome(syscall(SYS_read, fd, content, size));

	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":%ld,\"size\":%zu,\"result\":%ld", path("a"), identity_of(fd), fd, offset, size,
	       result);
}

int main(void)
{
	make_file("a", 1000);
	int fd = open_file("a", O_RDONLY);
	CHECK(lseek(fd, 700, SEEK_SET) == 700);
	take(fd, 700, 100);
	take(fd, 800, 1000);
	take(fd, 1000, 1000);
	CHECK(lseek(fd, 5000, SEEK_END) == 6000);
	take(fd, 6000, 10);
	return 0;
}
