/* sync(2): of all file systems, and so of no file; fdatasync(2) beside it is of one. */
#include "case.h"

int main(void)
{
	make_file("a", 100);
	int fd = open_file("a", O_WRONLY);
	long one = outcome(syscall(SYS_fdatasync, fd));
	syscall(SYS_sync);

	expect("sync", "fdatasync", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity_of(fd), fd, one);
	expect("sync", "sync", "\"path\":null,\"inode\":null,\"result\":0");
	return 0;
}
