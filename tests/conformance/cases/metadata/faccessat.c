/* faccessat(2) by a name relative to a directory's descriptor. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int directory = open_file("sub", O_PATH | O_DIRECTORY);
	long result = syscall(SYS_faccessat, directory, "a", R_OK);

	expect("access", "faccessat", "%s,\"resolved\":false,\"flags\":[\"R_OK\"],\"result\":%ld", path("sub/a"), outcome(result));
	return 0;
}
