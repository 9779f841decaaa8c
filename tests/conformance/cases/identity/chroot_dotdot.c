/* In a chroot, ".." does not leave the new root: relative and absolute names, of one file and of two. */
#include "case.h"

int main(void)
{
	const char *jail = path("jail");
	CHECK(!mkdir("jail", 0755) && !mkdir("jail/in", 0755));
	const char *made = path("jail/made"), *moved = path("jail/moved"), *none = path("jail/none"), *inside = path("jail/in");
	if (chroot("jail") || chdir("/in"))
		cannot("chroot needs CAP_SYS_CHROOT");
	long make = outcome(syscall(SYS_mkdir, "../../../made", 0755));
	long move = outcome(syscall(SYS_rename, "../../../made", "/../../moved"));
	long mode = outcome(syscall(SYS_chmod, "../../../moved", 0711));
	long gone = outcome(syscall(SYS_rmdir, "/../moved"));
	long missing = outcome(syscall(SYS_unlinkat, AT_FDCWD, "../../../../none", 0));
	long link = outcome(syscall(SYS_symlinkat, "/in", AT_FDCWD, "../../moved"));
	long refused = outcome(syscall(SYS_chdir, "../../none"));

	CHECK(!make && !move && !mode && !gone && missing == -ENOENT && !link && refused == -ENOENT);
	expect("mkdir", "mkdir", "%s", jail);
	expect("mkdir", "mkdir", "%s", inside);
	expect("mkdir", "mkdir", "%s,\"resolved\":false,\"result\":0", made);
	expect("rename", "rename", "%s,\"target\":{%s},\"result\":0", made, moved);
	expect("setattr", "chmod", "%s,\"result\":0", moved);
	expect("rmdir", "rmdir", "%s,\"result\":0", moved);
	expect("unlink", "unlinkat", "%s,\"result\":%ld", none, missing);
	expect("symlink", "symlinkat", "%s,\"target\":{%s},\"result\":0", inside, moved);
	expect("chdir", "chroot", "%s", jail);
	expect("chdir", "chdir", "%s", inside);
	expect("chdir", "chdir", "%s,\"resolved\":false,\"result\":%ld", none, refused);
	return 0;
}
