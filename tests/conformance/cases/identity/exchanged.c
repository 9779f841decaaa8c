/* Two open files are exchanged: their later reads have each other's path, and their own inodes. */
#include "case.h"

static void take(int fd, const char *name)
{
	char content[100];
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"result\":%ld", path(name), identity_of(fd), fd, result);
}

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	make_file("a", 10);
	make_file("sub/b", 20);
	int first = open_file("a", O_RDONLY), second = open_file("sub/b", O_RDONLY);
	take(first, "a");
	take(second, "sub/b");
	CHECK(!syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "sub/b", RENAME_EXCHANGE));
	take(first, "sub/b");
	take(second, "a");
	return 0;
}
