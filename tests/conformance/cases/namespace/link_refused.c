/* link(2) to an existing name: EEXIST; of a directory: EPERM. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	make_file("b", 10);
	CHECK(!mkdir("sub", 0755));
	long taken = outcome(syscall(SYS_link, "a", "b"));
	long directory = outcome(syscall(SYS_link, "sub", "c"));

	expect("link", "link", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("a"), path("b"), taken);
	expect("link", "link", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("sub"), path("c"),
	       directory);
	return 0;
}
