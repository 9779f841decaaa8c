/* mount(2) of a directory on another (MS_BIND) and umount2(2), both also failing. In a mount namespace of its own. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

int main(void)
{
	CHECK(!mkdir("from", 0755) && !mkdir("to", 0755));
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	long bound = outcome(syscall(SYS_mount, "from", "to", NULL, MS_BIND, NULL));
	long missing = outcome(syscall(SYS_mount, "missing", "to", NULL, MS_BIND, NULL));
	long undone = outcome(syscall(SYS_umount2, "to", MNT_DETACH));
	long again = outcome(syscall(SYS_umount2, "to", 0));

	CHECK(!bound && missing == -ENOENT && !undone && again == -EINVAL);
	expect("mount", "mount", "%s,\"resolved\":false,\"target\":{%s},\"result\":0", path("from"), path("to"));
	expect("mount", "mount", "%s,\"resolved\":false,\"target\":{%s},\"result\":%ld", path("missing"), path("to"), missing);
	expect("umount", "umount2", "%s,\"resolved\":false,\"result\":0", path("to"));
	expect("umount", "umount2", "%s,\"resolved\":false,\"result\":%ld", path("to"), again);
	return 0;
}
