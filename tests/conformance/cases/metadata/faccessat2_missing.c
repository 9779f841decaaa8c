/* faccessat2(2) of a missing name: ENOENT. */
#include "case.h"

int main(void)
{
	long result = syscall(SYS_faccessat2, AT_FDCWD, "a", F_OK, AT_EACCESS);

	expect("access", "faccessat2", "%s,\"resolved\":false,\"result\":%ld", path("a"), outcome(result));
	return 0;
}
