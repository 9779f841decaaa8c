/* utimensat(2) by a name relative to a directory's descriptor, and of a missing name: ENOENT. */
#include "case.h"

int main(void)
{
	struct timespec times[2] = { { 1000, 0 }, { 2000, 0 } };

	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int directory = open_file("sub", O_RDONLY | O_DIRECTORY);
	long there = outcome(syscall(SYS_utimensat, directory, "a", times, 0));
	long missing = outcome(syscall(SYS_utimensat, directory, "b", NULL, AT_SYMLINK_NOFOLLOW));

	expect("setattr", "utimensat", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), there);
	expect("setattr", "utimensat", "%s,\"resolved\":false,\"result\":%ld", path("sub/b"), missing);
	return 0;
}
