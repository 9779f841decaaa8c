/* The working directory is removed, and its name created again: names in it lead nowhere, ".." still works. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("gone", 0755));
	make_file("a", 3);
	make_file("b", 3);
	const char *inside = path("gone/b"), *above = path("a");
	CHECK(!chdir("gone") && !rmdir("../gone") && !mkdir("../gone", 0755));
	make_file("../gone/b", 4); /* in another directory */
	long nothing = outcome(syscall(SYS_stat, "b", &status));
	long something = outcome(syscall(SYS_stat, "../a", &status));

	CHECK(nothing == -ENOENT && !something);
	expect("stat", "stat", "%s,\"deleted\":true,\"resolved\":false,\"result\":%ld", inside, nothing);
	expect("stat", "stat", "%s,\"resolved\":false,\"result\":0", above);
	return 0;
}
