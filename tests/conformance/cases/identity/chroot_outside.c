/* The working directory is outside the root, as after fchdir(2) out of a chroot: ".." goes on to the topmost root. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("jail", 0755) && !mkdir("out", 0755));
	make_file("out/a", 3);
	const char *there = path("out/a"), *below = path("jail/out/a");
	int out = open_file("out", O_RDONLY | O_DIRECTORY);
	if (chroot("jail") || fchdir(out))
		cannot("chroot needs CAP_SYS_CHROOT");
	long above = outcome(syscall(SYS_newfstatat, AT_FDCWD, "../out/a", &status, 0));
	long topmost = outcome(syscall(SYS_newfstatat, AT_FDCWD, "../../../../../../../../proc", &status, 0));
	long absolute = outcome(syscall(SYS_newfstatat, AT_FDCWD, "/out/a", &status, 0));

	CHECK(!above && !topmost && absolute == -ENOENT);
	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":0", there);
	expect("stat", "newfstatat", "\"path\":\"/proc\",\"result\":0");
	expect("stat", "newfstatat", "%s,\"result\":%ld", below, absolute);
	return 0;
}
