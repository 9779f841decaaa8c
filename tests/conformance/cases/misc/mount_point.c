/* statx(2) of a mount point, by name and by descriptor, and of a file below it: these are on the mounted file system. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

int main(void)
{
	struct statx x;
	char buffer[100];

	CHECK(!mkdir("on", 0755));
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && !mount("none", "on", "tmpfs", 0, NULL));
	make_file("on/a", 10);
	int root = open_file("on", O_PATH), fd = open_file("on/a", O_RDONLY);
	CHECK(!syscall(SYS_statx, AT_FDCWD, "on", 0, STATX_BASIC_STATS, &x));
	CHECK(!syscall(SYS_statx, root, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x) && x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
	long result = outcome(syscall(SYS_read, fd, buffer, 100));

	expect("stat", "statx", "%s,\"resolved\":false,\"result\":0", path("on"));
	expect("stat", "statx", "%s,\"inode\":\"%llu\",\"device\":\"%u:%u\",\"fd\":%d,\"result\":0", path("on"),
	       (unsigned long long)x.stx_ino, x.stx_dev_major, x.stx_dev_minor, root);
	expect("read", "read", "%s,\"device\":\"%u:%u\",\"fd\":%d,\"offset\":0,\"result\":%ld", path("on/a"), x.stx_dev_major,
	       x.stx_dev_minor, fd, result);
	return 0;
}
