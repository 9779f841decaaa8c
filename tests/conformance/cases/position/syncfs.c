/* syncfs(2) of a directory's file system. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	int fd = open_file("sub", O_RDONLY | O_DIRECTORY);
	long result = syscall(SYS_syncfs, fd);

	expect("sync", "syncfs", "%s,%s,\"fd\":%d,\"result\":%ld", path("sub"), identity_of(fd), fd, outcome(result));
	return 0;
}
