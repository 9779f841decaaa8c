/* statx(2) by names: an existing one, a missing one. */
#include "case.h"

int main(void)
{
	struct statx status;

	make_file("a", 10);
	long there = outcome(syscall(SYS_statx, AT_FDCWD, "a", AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &status));
	long missing = outcome(syscall(SYS_statx, AT_FDCWD, "b", 0, STATX_INO, &status));

	expect("stat", "statx", "%s,\"resolved\":false,\"result\":%ld", path("a"), there);
	expect("stat", "statx", "%s,\"resolved\":false,\"result\":%ld", path("b"), missing);
	return 0;
}
