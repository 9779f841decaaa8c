/* lseek(2) to the beginning of a directory, whose entries are then read again. */
#include "case.h"

static void list(int fd)
{
	char entries[4096];
	long result = outcome(syscall(SYS_getdents64, fd, entries, sizeof(entries)));

	expect("getdents", "getdents64", "%s,%s,\"fd\":%d,\"result\":%ld", path("sub"), identity_of(fd), fd, result);
}

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	int fd = open_file("sub", O_RDONLY | O_DIRECTORY);
	list(fd);
	long result = outcome(syscall(SYS_lseek, fd, 0L, SEEK_SET));
	expect("seek", "lseek", "%s,%s,\"fd\":%d,\"offset\":0,\"whence\":\"SEEK_SET\",\"result\":%ld", path("sub"), identity_of(fd), fd,
	       result);
	list(fd);
	return 0;
}
