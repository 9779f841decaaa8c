/* faccessat2(2) as another user: EACCES for a name in an inaccessible directory, and for an inaccessible file. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("closed", 0700));
	make_file("closed/a", 10);
	make_file("b", 10);
	CHECK(!chmod("b", 0600) && !chmod(".", 0711));
	int directory = open_file("closed", O_PATH | O_DIRECTORY);
	if (syscall(SYS_setresuid, 65534, 65534, 65534))
		cannot("a second user");
	long closed = outcome(syscall(SYS_faccessat2, directory, "a", F_OK, AT_EACCESS));
	long file = outcome(syscall(SYS_faccessat2, AT_FDCWD, "b", R_OK | W_OK, 0));

	expect("access", "faccessat2", "%s,\"resolved\":false,\"result\":%ld", path("closed/a"), closed);
	expect("access", "faccessat2", "%s,\"resolved\":false,\"flags\":[\"R_OK\",\"W_OK\"],\"result\":%ld", path("b"), file);
	return 0;
}
