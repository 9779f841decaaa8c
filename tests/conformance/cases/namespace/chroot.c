/* chroot(2) into a directory, then chdir(2) to "/": both have the directory's path from the root of the mount namespace. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("sub", 0755) && !stat("sub", &status));
	const char *sub = path("sub");
	long root = outcome(syscall(SYS_chroot, "sub"));
	if (root < 0)
		cannot("chroot needs CAP_SYS_CHROOT");
	long directory = outcome(syscall(SYS_chdir, "/"));

	expect("chdir", "chroot", "%s,%s,\"result\":%ld", sub, identity(&status), root);
	expect("chdir", "chdir", "%s,%s,\"result\":%ld", sub, identity(&status), directory);
	return 0;
}
