/* lseek(2) for data and holes of a sparse file, and for data beyond its end: ENXIO. */
#include "case.h"

static void seek(int fd, long offset, int whence, const char *name)
{
	long result = outcome(syscall(SYS_lseek, fd, offset, whence));

	expect("seek", "lseek", "%s,%s,\"fd\":%d,\"offset\":%ld,\"whence\":\"%s\",\"result\":%ld", path("a"), identity_of(fd), fd, offset,
	       name, result);
}

int main(void)
{
	int fd = open_file("a", O_CREAT | O_RDWR);

	CHECK(pwrite(fd, "data", 4, 1 << 20) == 4 && !fsync(fd));
	seek(fd, 0, SEEK_DATA, "SEEK_DATA");
	seek(fd, 10, SEEK_HOLE, "SEEK_HOLE");
	seek(fd, 2 << 20, SEEK_DATA, "SEEK_DATA");
	return 0;
}
