/* lstat(2) of a symbolic link: the link itself. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 10);
	CHECK(!symlink("a", "link"));
	long result = syscall(SYS_lstat, "link", &status);

	CHECK(S_ISLNK(status.st_mode));
	expect("stat", "lstat", "%s,\"resolved\":false,\"result\":%ld", path("link"), outcome(result));
	return 0;
}
