/* stat(2) through a symbolic link: a path by name is the requested name, not the link's target. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 10);
	CHECK(!symlink("a", "link"));
	long result = syscall(SYS_stat, "link", &status);

	CHECK(S_ISREG(status.st_mode));
	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("link"), outcome(result));
	return 0;
}
