/* dup2(2), and a read through the duplicate: one position for both descriptors; then of an invalid descriptor: EBADF. */
#include "case.h"

int main(void)
{
	char content[10];

	make_file("a", 100);
	int fd = open_file("a", O_RDONLY);
	long result = outcome(syscall(SYS_dup2, fd, 50));
	long here = outcome(syscall(SYS_read, fd, content, 10));
	long there = outcome(syscall(SYS_read, 50, content, 10));
	long bad = outcome(syscall(SYS_dup2, 99, 51));

	expect("dup", "dup2", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity_of(fd), fd, result);
	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":0,\"result\":%ld", path("a"), identity_of(fd), fd, here);
	expect("read", "read", "%s,%s,\"fd\":50,\"offset\":10,\"result\":%ld", path("a"), identity_of(fd), there);
	expect("dup", "dup2", "\"fd\":99,\"result\":%ld", bad);
	return 0;
}
