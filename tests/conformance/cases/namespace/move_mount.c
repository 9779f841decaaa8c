/* move_mount(2) of a mount from one directory to another, in a mount namespace of its own. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

int main(void)
{
	CHECK(!mkdir("from", 0755) && !mkdir("to", 0755));
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	long mounted = outcome(syscall(SYS_mount, "from", "from", NULL, MS_BIND, NULL));
	long moved = outcome(syscall(SYS_move_mount, AT_FDCWD, "from", AT_FDCWD, "to", 0));

	expect("mount", "mount", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("from"), path("from"),
	       mounted);
	expect("mount", "move_mount", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("from"), path("to"),
	       moved);
	return 0;
}
