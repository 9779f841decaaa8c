/* An inode number is used again: the removed file and later files are different ones, each with its own path. */
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
	enum { FILES = 100 };
	ino_t earlier[FILES];
	char name[16];

	for (int i = 0; i < FILES; i++) {
		sprintf(name, "file-%d", i);
		earlier[i] = take(name);
		for (int j = 0; j < i; j++)
			if (earlier[j] == earlier[i]) /* any of them: another program may have got the last one's number */
				return 0;
	}
	cannot("a file system that uses inode numbers again");
}
