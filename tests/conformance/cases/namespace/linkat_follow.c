/* linkat(2) with AT_SYMLINK_FOLLOW, of a symbolic link: by name it is the link. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 10);
	CHECK(!symlink("a", "link"));
	long result = syscall(SYS_linkat, AT_FDCWD, "link", AT_FDCWD, "b", AT_SYMLINK_FOLLOW);

	CHECK(!lstat("b", &status) && S_ISREG(status.st_mode));
	expect("link", "linkat", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("link"), path("b"),
	       outcome(result));
	return 0;
}
