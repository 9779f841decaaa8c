/* open(2) and openat(2) through symbolic links, of a directory and of the file: the target file. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("real", 0755) && !mknod("real/a", S_IFREG | 0644, 0));
	CHECK(!symlink("real", "directory") && !symlink("../real/a", "real/link"));
	int fd = outcome(syscall(SYS_open, "directory/link", O_RDWR | O_CREAT, 0600));
	int again = outcome(syscall(SYS_openat, AT_FDCWD, "./directory/../real/link", O_RDONLY));

	CHECK(fd >= 0 && again >= 0);
	expect("open", "open", "%s,%s,\"fd\":%d,\"flags\":[\"O_RDWR\",\"O_CREAT\"],\"mode\":\"0600\",\"result\":%d", path("real/a"),
	       identity_of(fd), fd, fd);
	expect("open", "openat", "%s,%s,\"fd\":%d,\"flags\":[\"O_RDONLY\"],\"result\":%d", path("real/a"), identity_of(again), again,
	       again);
	return 0;
}
