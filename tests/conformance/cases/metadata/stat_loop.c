/* stat(2) of a symbolic link to itself: ELOOP. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!symlink("loop", "loop"));
	long result = syscall(SYS_stat, "loop", &status);

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("loop"), outcome(result));
	return 0;
}
