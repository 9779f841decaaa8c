/* fstatfs(2) of a directory's descriptor. */
#include "case.h"
#include <sys/vfs.h>

int main(void)
{
	struct statfs status;

	CHECK(!mkdir("sub", 0755));
	int fd = open_file("sub", O_RDONLY | O_DIRECTORY);
	long result = syscall(SYS_fstatfs, fd, &status);

	expect("statfs", "fstatfs", "%s,%s,\"fd\":%d,\"result\":%ld", path("sub"), identity_of(fd), fd, outcome(result));
	return 0;
}
