/* Names relative to a directory's descriptor, and to the working directory, after both were renamed. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("sub", 0755) && !mkdir("sub/deep", 0755));
	make_file("sub/deep/a", 10);
	const char *directory = path("new/a"), *working = path("new/deep/a");
	int fd = open_file("sub", O_PATH | O_DIRECTORY);
	CHECK(!chdir("sub/deep") && !rename("../../sub", "../../new"));
	long missing = outcome(syscall(SYS_newfstatat, fd, "a", &status, 0));
	long there = outcome(syscall(SYS_newfstatat, AT_FDCWD, "a", &status, 0));

	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":%ld", directory, missing);
	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":%ld", working, there);
	return 0;
}
