/* A mount covers a directory while a file in it is open: that file keeps its path, which another file then has too. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

static void take(int fd)
{
	char content[100];
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"result\":%ld", path("sub/a"), identity_of(fd), fd, result);
}

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	int below = open_file("sub/a", O_RDONLY);
	take(below);
	CHECK(!mount("none", "sub", "tmpfs", 0, NULL));
	make_file("sub/a", 20);
	take(below);
	take(open_file("sub/a", O_RDONLY));
	return 0;
}
