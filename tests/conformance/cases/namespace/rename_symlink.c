/* rename(2) of a symbolic link: the link is renamed, not its target. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 10);
	CHECK(!symlink("a", "link"));
	long result = syscall(SYS_rename, "link", "other");

	CHECK(!lstat("other", &status) && S_ISLNK(status.st_mode));
	expect("rename", "rename", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("link"), path("other"),
	       outcome(result));
	return 0;
}
