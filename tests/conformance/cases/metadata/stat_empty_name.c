/* stat(2) of the empty name: ENOENT, and nothing is joined to the directory. */
#include "case.h"

int main(void)
{
	struct stat status;
	long result = outcome(syscall(SYS_stat, "", &status));

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path(getcwd(NULL, 0)), result);
	return 0;
}
