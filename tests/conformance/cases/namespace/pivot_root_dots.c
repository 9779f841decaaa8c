/* pivot_root(".", ".") and umount2(".", MNT_DETACH), as container runtimes do it: the names are those before the call. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

int main(void)
{
	CHECK(!mkdir("new", 0755));
	const char *root = path("new");
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && !mount("new", "new", NULL, MS_BIND, NULL) && !chdir("new"));
	long pivoted = outcome(syscall(SYS_pivot_root, ".", "."));
	long undone = outcome(syscall(SYS_umount2, ".", MNT_DETACH));

	CHECK(!pivoted && !undone);
	expect("mount", "mount", "\"path\":null,\"requested\":null,\"target\":{\"path\":\"/\"},\"result\":0");
	expect("mount", "mount", "%s,\"target\":{%s},\"result\":0", root, root);
	expect("mount", "pivot_root", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":0", root, root);
	expect("umount", "umount2", "\"path\":\"/\",\"resolved\":false,\"result\":0");
	return 0;
}
