/* fsync(2) of a file and of a directory, fdatasync(2), and fsync(2) of a named pipe: EINVAL. */
#include "case.h"

static void sync_one(const char *call, int number, const char *name, int flags)
{
	int fd = open_file(name, flags);
	long result = outcome(syscall(number, fd));

	expect("sync", call, "%s,%s,\"fd\":%d,\"result\":%ld", path(name), identity_of(fd), fd, result);
}

int main(void)
{
	make_file("a", 10);
	CHECK(!mkdir("sub", 0755) && !mknod("pipe", S_IFIFO | 0644, 0));
	sync_one("fsync", SYS_fsync, "a", O_RDWR);
	sync_one("fsync", SYS_fsync, "sub", O_RDONLY | O_DIRECTORY);
	sync_one("fdatasync", SYS_fdatasync, "a", O_RDONLY);
	sync_one("fsync", SYS_fsync, "pipe", O_RDWR);
	return 0;
}
