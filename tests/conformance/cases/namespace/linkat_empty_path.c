/* linkat(2) with AT_EMPTY_PATH: the descriptor's file gets a second name. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long result = syscall(SYS_linkat, fd, "", AT_FDCWD, "b", AT_EMPTY_PATH);

	CHECK(!result || errno == ENOENT || errno == EPERM);
	expect("link", "linkat", "%s,%s,\"fd\":%d,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("a"), identity_of(fd), fd,
	       path("b"), outcome(result));
	return 0;
}
