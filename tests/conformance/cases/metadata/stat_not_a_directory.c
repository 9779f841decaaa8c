/* stat(2) of names below a file, and of a file with a trailing slash: ENOTDIR. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 10);
	long below = outcome(syscall(SYS_stat, "a/b", &status));
	long slash = outcome(syscall(SYS_stat, "a/", &status));

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("a/b"), below);
	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("a"), slash);
	return 0;
}
