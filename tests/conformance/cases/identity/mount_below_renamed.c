/* The directory above a mount is renamed while a file on the mount is open. In a mount namespace of its own. */
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
	CHECK(!mkdir("old", 0755) && !mkdir("old/mount", 0755));
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && !mount("none", "old/mount", "tmpfs", 0, NULL));
	make_file("old/mount/a", 10);
	int fd = open_file("old/mount/a", O_RDONLY);
	take(fd, "old/mount/a");
	CHECK(!rename("old", "new"));
	take(fd, "new/mount/a");
	return 0;
}
