/* rmdir(2) of a directory that is not empty: ENOTEMPTY; then of the empty directory. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	long full = outcome(syscall(SYS_rmdir, "sub"));
	CHECK(!unlink("sub/a"));
	long empty = outcome(syscall(SYS_rmdir, "sub"));

	expect("rmdir", "rmdir", "%s,\"resolved\":false,\"result\":%ld", path("sub"), full);
	expect("rmdir", "rmdir", "%s,\"resolved\":false,\"result\":%ld", path("sub"), empty);
	return 0;
}
