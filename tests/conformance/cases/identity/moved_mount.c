/* A mount is moved while a file on it is open: later reads have the new path. In a mount namespace of its own. */
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
	CHECK(!mkdir("old", 0755) && !mkdir("new", 0755));
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && !mount("none", "old", "tmpfs", 0, NULL));
	make_file("old/a", 10);
	int fd = open_file("old/a", O_RDONLY);
	take(fd, "old/a");
	CHECK(!mount("old", "new", NULL, MS_MOVE, NULL));
	take(fd, "new/a");
	return 0;
}
