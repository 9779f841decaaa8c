/* mount(2) of a directory at a second path, and umount2(2) of it, in a mount namespace of its own. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

int main(void)
{
	CHECK(!mkdir("from", 0755) && !mkdir("to", 0755));
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	long mounted = outcome(syscall(SYS_mount, "from", "to", NULL, MS_BIND, NULL));
	long gone = outcome(syscall(SYS_umount2, "to", MNT_DETACH));
	long none = outcome(syscall(SYS_umount2, "to", 0));

	expect("mount", "mount", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("from"), path("to"),
	       mounted);
	expect("umount", "umount2", "%s,\"resolved\":false,\"result\":%ld", path("to"), gone);
	expect("umount", "umount2", "%s,\"resolved\":false,\"result\":%ld", path("to"), none);
	return 0;
}
