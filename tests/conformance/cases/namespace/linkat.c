/* linkat(2) with names relative to two directories' descriptors. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("from", 0755) && !mkdir("to", 0755));
	make_file("from/a", 10);
	int from = open_file("from", O_RDONLY | O_DIRECTORY), to = open_file("to", O_PATH | O_DIRECTORY);
	long result = syscall(SYS_linkat, from, "a", to, "b", 0);

	expect("link", "linkat", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("from/a"), path("to/b"),
	       outcome(result));
	return 0;
}
