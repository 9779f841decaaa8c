/* A file is opened through a link to it and through a link to its directory: the path has no links. */
#include "case.h"

static void take(const char *name)
{
	char content[100];
	int fd = open_file(name, O_RDONLY);
	long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));

	expect("read", "read", "%s,%s,\"fd\":%d,\"result\":%ld", path("sub/a"), identity_of(fd), fd, result);
}

int main(void)
{
	CHECK(!mkdir("sub", 0755) && !symlink("sub/a", "link") && !symlink("sub", "directory") && !symlink("../link", "sub/chain"));
	make_file("sub/a", 10);
	take("link");
	take("directory/a");
	take("directory/chain");
	return 0;
}
