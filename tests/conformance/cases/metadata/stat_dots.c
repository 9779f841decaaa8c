/* stat(2) of a name with ., .. and doubled slashes: the path is the same without them. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 10);
	CHECK(!mkdir("sub", 0755));
	long result = syscall(SYS_stat, "sub/.././/sub//..///a", &status);

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("a"), outcome(result));
	return 0;
}
