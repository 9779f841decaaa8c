/* unlink(2) of a file, and again: ENOENT. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	long removed = outcome(syscall(SYS_unlink, "a"));
	long gone = outcome(syscall(SYS_unlink, "a"));

	expect("unlink", "unlink", "%s,\"resolved\":false,\"result\":%ld", path("a"), removed);
	expect("unlink", "unlink", "%s,\"resolved\":false,\"result\":%ld", path("a"), gone);
	return 0;
}
