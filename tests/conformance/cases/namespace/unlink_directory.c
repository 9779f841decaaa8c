/* unlink(2) of a directory: EISDIR, reported as unlink, not as rmdir. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	long result = syscall(SYS_unlink, "sub");

	expect("unlink", "unlink", "%s,\"resolved\":false,\"result\":%ld", path("sub"), outcome(result));
	return 0;
}
