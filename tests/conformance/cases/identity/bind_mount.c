/* A directory mounted at a second path, in a mount namespace of its own: each read has the path by which the file was opened. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

static void take(int fd, const char *name)
{
	char content[100];
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"result\":%ld", path(name), identity_of(fd), fd, result);
}

int main(void)
{
	CHECK(!mkdir("from", 0755) && !mkdir("from/deep", 0755) && !mkdir("to", 0755));
	make_file("from/deep/a", 10);
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && !mount("from", "to", NULL, MS_BIND, NULL));
	int first = open_file("from/deep/a", O_RDONLY), second = open_file("to/deep/a", O_RDONLY);
	take(first, "from/deep/a");
	take(second, "to/deep/a");
	take(first, "from/deep/a");
	return 0;
}
