/* rename(2) over an existing file, and over a directory: EISDIR. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	make_file("b", 20);
	CHECK(!mkdir("sub", 0755));
	long over = outcome(syscall(SYS_rename, "a", "b"));
	long refused = outcome(syscall(SYS_rename, "b", "sub"));

	expect("rename", "rename", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("a"), path("b"), over);
	expect("rename", "rename", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("b"), path("sub"),
	       refused);
	return 0;
}
