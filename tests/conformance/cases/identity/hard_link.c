/* A file with two names: each read has the name by which its descriptor was opened, and the same inode. */
#include "case.h"

static void take(const char *name)
{
	char content[100];
	int fd = open_file(name, O_RDONLY);
	long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));

	expect("read", "read", "%s,%s,\"fd\":%d,\"result\":%ld", path(name), identity_of(fd), fd, result);
}

int main(void)
{
	make_file("a", 10);
	CHECK(!mkdir("sub", 0755) && !link("a", "sub/b"));
	take("a");
	take("sub/b");
	take("a");
	return 0;
}
