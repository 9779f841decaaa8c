/* fchmodat(2) by a name relative to a directory's descriptor. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int directory = open_file("sub", O_PATH | O_DIRECTORY);
	long result = syscall(SYS_fchmodat, directory, "a", 0400);

	expect("setattr", "fchmodat", "%s,\"resolved\":false,\"mode\":\"0400\",\"result\":%ld", path("sub/a"), outcome(result));
	return 0;
}
