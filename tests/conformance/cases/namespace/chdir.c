/* chdir(2) by a name with a symbolic link in it: the resulting directory. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("sub", 0755) && !mkdir("sub/deep", 0755) && !symlink("sub", "link"));
	CHECK(!stat("sub/deep", &status));
	long result = outcome(syscall(SYS_chdir, "link/deep"));

	expect("chdir", "chdir", "%s,%s,\"result\":%ld", path(getcwd(NULL, 0)), identity(&status), result);
	return 0;
}
