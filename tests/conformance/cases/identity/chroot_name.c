/* In a chroot, an absolute name is below the new root; a relative name is still below the directory outside. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("sub", 0755) && !mkdir("other", 0755));
	make_file("other/a", 10);
	const char *inside = path("sub/a"), *outside = path("other/a");
	if (chroot("sub"))
		cannot("chroot needs CAP_SYS_CHROOT");
	long absolute = outcome(syscall(SYS_newfstatat, AT_FDCWD, "/a", &status, 0));
	long relative = outcome(syscall(SYS_newfstatat, AT_FDCWD, "other/a", &status, 0));

	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":%ld", inside, absolute);
	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":%ld", outside, relative);
	return 0;
}
