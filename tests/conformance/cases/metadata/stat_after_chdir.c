/* stat(2) by a relative name, before and after a change of directory. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("a"), outcome(syscall(SYS_stat, "a", &status)));
	CHECK(!chdir("sub"));
	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("a"), outcome(syscall(SYS_stat, "a", &status)));
	return 0;
}
