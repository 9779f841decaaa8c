/* chown(2) of a file, and of a missing name: ENOENT. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	long changed = outcome(syscall(SYS_chown, "a", 12, 34));
	long missing = outcome(syscall(SYS_chown, "b", 0, 56));

	expect("setattr", "chown", "%s,\"resolved\":false,\"owner\":{\"uid\":12,\"gid\":34},\"result\":%ld", path("a"), changed);
	expect("setattr", "chown", "%s,\"resolved\":false,\"owner\":{\"uid\":0,\"gid\":56},\"result\":%ld", path("b"), missing);
	return 0;
}
