/* stat(2) of a missing name: ENOENT. */
#include "case.h"

int main(void)
{
	struct stat status;
	long result = syscall(SYS_stat, "nowhere/a", &status);

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("nowhere/a"), outcome(result));
	return 0;
}
