/* fchmod(2) of a directory's descriptor. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	int fd = open_file("sub", O_RDONLY | O_DIRECTORY);
	long result = syscall(SYS_fchmod, fd, 02711);

	expect("setattr", "fchmod", "%s,%s,\"fd\":%d,\"mode\":\"02711\",\"result\":%ld", path("sub"), identity_of(fd), fd, outcome(result));
	return 0;
}
