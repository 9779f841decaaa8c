/* newfstatat(2) of a name relative to a descriptor that is not open: EBADF, without a path; to a pipe: ENOTDIR, without a path too. */
#include "case.h"

int main(void)
{
	struct stat status;
	int ends[2];

	CHECK(!pipe(ends));
	long none = outcome(syscall(SYS_newfstatat, 999, "a/b", &status, 0));
	long pipe = outcome(syscall(SYS_newfstatat, ends[0], "a/c", &status, 0));

	CHECK(none == -EBADF && pipe == -ENOTDIR);
	expect("stat", "newfstatat", "\"path\":null,\"requested\":\"a/b\",\"resolved\":false,\"result\":%ld", none);
	expect("stat", "newfstatat", "\"path\":null,\"requested\":\"a/c\",\"resolved\":false,\"result\":%ld", pipe);
	return 0;
}
