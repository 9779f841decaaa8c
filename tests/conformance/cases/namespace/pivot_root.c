/* pivot_root(2), by absolute names, in a mount namespace of its own: the new root, and where the old one is put. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

int main(void)
{
	CHECK(!mkdir("new", 0755) && !mkdir("new/old", 0755));
	const char *root = path("new"), *old = path("new/old");
	char *directory = get_current_dir_name(), new_root[PATH_MAX], put_old[PATH_MAX];

	CHECK(snprintf(new_root, PATH_MAX, "%s/new", directory) < PATH_MAX);
	CHECK(snprintf(put_old, PATH_MAX, "%s/new/old", directory) < PATH_MAX);
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && !mount("new", "new", NULL, MS_BIND, NULL));
	expect("mount", "mount", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":0", root, root);
	long result = outcome(syscall(SYS_pivot_root, new_root, put_old));

	expect("mount", "pivot_root", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", root, old, result);
	return 0;
}
