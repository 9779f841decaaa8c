/* fchdir(2) to a directory's descriptor made with O_PATH, and back up with chdir(2) to "..". */
#include "case.h"

int main(void)
{
	struct stat top;

	CHECK(!mkdir("sub", 0755) && !stat(".", &top));
	int fd = open_file("sub", O_PATH | O_DIRECTORY);
	long down = outcome(syscall(SYS_fchdir, fd)), up = outcome(syscall(SYS_chdir, ".."));

	expect("chdir", "fchdir", "%s,%s,\"fd\":%d,\"result\":%ld", path("sub"), identity_of(fd), fd, down);
	expect("chdir", "chdir", "%s,%s,\"result\":%ld", path(getcwd(NULL, 0)), identity(&top), up);
	return 0;
}
