/* newfstatat(2) by a name relative to a directory's descriptor. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int directory = open_file("sub", O_RDONLY | O_DIRECTORY);
	long result = syscall(SYS_newfstatat, directory, "a", &status, 0);

	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), outcome(result));
	return 0;
}
