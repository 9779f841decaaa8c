/* fchownat(2) by a name relative to a directory's descriptor, and with AT_EMPTY_PATH of the directory itself. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int fd = open_file("sub", O_PATH | O_DIRECTORY);
	long file = outcome(syscall(SYS_fchownat, fd, "a", 12, 34, 0));
	long directory = outcome(syscall(SYS_fchownat, fd, "", 56, 78, AT_EMPTY_PATH));

	expect("setattr", "fchownat", "%s,\"resolved\":false,\"owner\":{\"uid\":12,\"gid\":34},\"result\":%ld", path("sub/a"), file);
	expect("setattr", "fchownat", "%s,%s,\"fd\":%d,\"owner\":{\"uid\":56,\"gid\":78},\"result\":%ld", path("sub"), identity_of(fd), fd,
	       directory);
	return 0;
}
