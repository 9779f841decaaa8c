/* newfstatat(2) with AT_SYMLINK_NOFOLLOW of a dangling link, and without: ENOENT. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!symlink("nowhere", "link"));
	long link = outcome(syscall(SYS_newfstatat, AT_FDCWD, "link", &status, AT_SYMLINK_NOFOLLOW));
	long beyond = outcome(syscall(SYS_newfstatat, AT_FDCWD, "link", &status, 0));

	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":%ld", path("link"), link);
	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":%ld", path("link"), beyond);
	return 0;
}
