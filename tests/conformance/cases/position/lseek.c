/* lseek(2) from the beginning, from the current position and from the end, beyond 4 GiB too. */
#include "case.h"

static void seek(int fd, long offset, int whence, const char *name)
{
	long result = outcome(syscall(SYS_lseek, fd, offset, whence));

	expect("seek", "lseek", "%s,%s,\"fd\":%d,\"offset\":%ld,\"whence\":\"%s\",\"result\":%ld", path("a"), identity_of(fd), fd, offset,
	       name, result);
}

int main(void)
{
	make_file("a", 1000);
	int fd = open_file("a", O_RDONLY);
	seek(fd, 100, SEEK_SET, "SEEK_SET");
	seek(fd, -50, SEEK_CUR, "SEEK_CUR");
	seek(fd, -1, SEEK_END, "SEEK_END");
	seek(fd, 5L << 30, SEEK_SET, "SEEK_SET");
	return 0;
}
