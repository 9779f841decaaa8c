/* unlinkat(2) with AT_REMOVEDIR is an rmdir, successful or not (ENOTDIR); without it, an unlink. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	make_file("a", 10);
	long directory = outcome(syscall(SYS_unlinkat, AT_FDCWD, "sub", AT_REMOVEDIR));
	long refused = outcome(syscall(SYS_unlinkat, AT_FDCWD, "a", AT_REMOVEDIR));
	long file = outcome(syscall(SYS_unlinkat, AT_FDCWD, "a", 0));

	expect("rmdir", "unlinkat", "%s,\"resolved\":false,\"result\":%ld", path("sub"), directory);
	expect("rmdir", "unlinkat", "%s,\"resolved\":false,\"result\":%ld", path("a"), refused);
	expect("unlink", "unlinkat", "%s,\"resolved\":false,\"result\":%ld", path("a"), file);
	return 0;
}
