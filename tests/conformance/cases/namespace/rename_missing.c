/* rename(2) of a missing name: ENOENT, with both names. */
#include "case.h"

int main(void)
{
	long result = syscall(SYS_rename, "a", "b");

	expect("rename", "rename", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("a"), path("b"),
	       outcome(result));
	return 0;
}
