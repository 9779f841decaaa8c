/* renameat2(2) with RENAME_EXCHANGE: a file and a directory are exchanged. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	CHECK(!mkdir("sub", 0755));
	long result = outcome(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "sub", RENAME_EXCHANGE));

	expect("rename", "renameat2",
	       "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"flags\":[\"RENAME_EXCHANGE\"],\"result\":%ld", path("a"),
	       path("sub"), result);
	return 0;
}
