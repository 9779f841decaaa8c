/* A file is renamed while it is open, in its directory and into another one: later reads have the new path. */
#include "case.h"

static void take(int fd, const char *name)
{
	char content[100];
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"result\":%ld", path(name), identity_of(fd), fd, result);
}

int main(void)
{
	make_file("a", 10);
	CHECK(!mkdir("sub", 0755));
	int fd = open_file("a", O_RDONLY);
	take(fd, "a");
	CHECK(!rename("a", "b"));
	take(fd, "b");
	CHECK(!rename("b", "sub/b"));
	take(fd, "sub/b");
	return 0;
}
