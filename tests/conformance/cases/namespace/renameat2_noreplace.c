/* renameat2(2) with RENAME_NOREPLACE, to a free name, and to an existing one: EEXIST. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	make_file("b", 20);
	long refused = outcome(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
	long renamed = outcome(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));

	expect("rename", "renameat2",
	       "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"flags\":[\"RENAME_NOREPLACE\"],\"result\":%ld", path("a"),
	       path("b"), refused);
	expect("rename", "renameat2",
	       "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"flags\":[\"RENAME_NOREPLACE\"],\"result\":%ld", path("a"),
	       path("c"), renamed);
	return 0;
}
