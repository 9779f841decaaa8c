/* chmod(2) of a file, with the set-user-ID bit, and of a missing name: ENOENT. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	long changed = outcome(syscall(SYS_chmod, "a", 04750));
	long missing = outcome(syscall(SYS_chmod, "b", 0600));

	expect("setattr", "chmod", "%s,\"resolved\":false,\"mode\":\"04750\",\"result\":%ld", path("a"), changed);
	expect("setattr", "chmod", "%s,\"resolved\":false,\"mode\":\"0600\",\"result\":%ld", path("b"), missing);
	return 0;
}
