/* statfs(2) by names: an existing one, a missing one. */
#include "case.h"
#include <sys/vfs.h>

int main(void)
{
	struct statfs status;

	make_file("a", 10);
	long there = outcome(syscall(SYS_statfs, "a", &status));
	long missing = outcome(syscall(SYS_statfs, "b", &status));

	expect("statfs", "statfs", "%s,\"resolved\":false,\"result\":%ld", path("a"), there);
	expect("statfs", "statfs", "%s,\"resolved\":false,\"result\":%ld", path("b"), missing);
	return 0;
}
