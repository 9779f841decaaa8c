/* rename(2) of a directory that is not empty, into another one; then back over one that is not empty: ENOTEMPTY. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("old", 0755) && !mkdir("into", 0755) && !mkdir("full", 0755));
	make_file("old/a", 10);
	make_file("full/b", 10);
	long moved = outcome(syscall(SYS_rename, "old", "into/new"));
	long refused = outcome(syscall(SYS_rename, "into/new", "full"));

	expect("rename", "rename", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("old"), path("into/new"),
	       moved);
	expect("rename", "rename", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("into/new"),
	       path("full"), refused);
	return 0;
}
