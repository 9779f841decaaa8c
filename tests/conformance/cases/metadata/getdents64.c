/* getdents64(2) of a directory until its end. */
#include "case.h"

int main(void)
{
	char entries[4096];
	long result;

	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int fd = open_file("sub", O_RDONLY | O_DIRECTORY);
	do {
		result = outcome(syscall(SYS_getdents64, fd, entries, sizeof(entries)));
		expect("getdents", "getdents64", "%s,%s,\"fd\":%d,\"result\":%ld", path("sub"), identity_of(fd), fd, result);
	} while (result > 0);
	return 0;
}
