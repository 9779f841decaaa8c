/* An inode number is used again: the file removed and those made after it are different ones, each with its own path. */
#include "case.h"

static ino_t take(const char *name)
{
	struct stat status;
	char content[100];

	make_file(name, 10);
	int fd = open_file(name, O_RDONLY);
	CHECK(!fstat(fd, &status));
	long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));
	expect("read", "read", "%s,%s,\"fd\":%d,\"result\":%ld", path(name), identity(&status), fd, result);
	CHECK(!close(fd) && !unlink(name));
	return status.st_ino;
}

int main(void)
{
	char name[32];
	ino_t first = take("first");

	for (int i = 0; i < 100; i++) {
		sprintf(name, "later-%d", i);
		if (take(name) == first)
			return 0;
	}
	cannot("a file system that uses inode numbers again");
}
