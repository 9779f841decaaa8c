/* access(2) for execution of a file that nobody may execute, not even root: EACCES. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	long result = syscall(SYS_access, "a", X_OK);

	expect("access", "access", "%s,\"resolved\":false,\"flags\":[\"X_OK\"],\"result\":%ld", path("a"), outcome(result));
	return 0;
}
