/* move_mount(2): a copy of a mount made by open_tree(2) is attached. In a mount namespace of its own. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

int main(void)
{
	CHECK(!mkdir("from", 0755) && !mkdir("to", 0755));
	make_file("from/a", 10);
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	int tree = syscall(SYS_open_tree, AT_FDCWD, "from", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	CHECK(tree >= 0);
	long result = outcome(syscall(SYS_move_mount, tree, "", AT_FDCWD, "to", MOVE_MOUNT_F_EMPTY_PATH));

	CHECK(!access("to/a", F_OK));
	expect("mount", "move_mount", "\"target\":{%s},\"result\":%ld", path("to"), result);
	return 0;
}
