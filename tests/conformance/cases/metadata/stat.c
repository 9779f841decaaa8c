/* stat(2) by a relative name. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 10);
	long result = syscall(SYS_stat, "a", &status);

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("a"), outcome(result));
	return 0;
}
