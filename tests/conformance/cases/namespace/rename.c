/* rename(2): the file is the old name, the target the new one. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	long result = syscall(SYS_rename, "a", "b");

	expect("rename", "rename", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("a"), path("b"),
	       outcome(result));
	return 0;
}
