/* link(2): the file is the existing name, the target the new one. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	long result = syscall(SYS_link, "a", "b");

	expect("link", "link", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("a"), path("b"),
	       outcome(result));
	return 0;
}
