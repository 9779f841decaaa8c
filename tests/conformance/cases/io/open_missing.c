/* open(2) of a missing name, and of one below a file: ENOENT and ENOTDIR, with the requested name. */
#include "case.h"

int main(void)
{
	CHECK(!mknod("a", S_IFREG | 0644, 0) && !mkdir("b", 0755));
	long missing = outcome(syscall(SYS_open, "b/../missing", O_RDONLY));
	long below = outcome(syscall(SYS_open, "a/below", O_RDWR));

	CHECK(missing == -ENOENT && below == -ENOTDIR);
	expect("open", "open", "%s,\"resolved\":false,\"flags\":[\"O_RDONLY\"],\"result\":-2", path("missing"));
	expect("open", "open", "%s,\"resolved\":false,\"flags\":[\"O_RDWR\"],\"result\":-20", path("a/below"));
	return 0;
}
