/* newfstatat(2) with AT_EMPTY_PATH and a name that is not empty: by name, the flag has no effect. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int directory = open_file("sub", O_PATH);
	long result = syscall(SYS_newfstatat, directory, "a", &status, AT_EMPTY_PATH);

	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), outcome(result));
	return 0;
}
