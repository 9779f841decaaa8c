/* sync(2): all file systems, therefore without a file; fdatasync(2) in addition has one. */
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
