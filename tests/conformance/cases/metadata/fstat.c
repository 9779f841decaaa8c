/* fstat(2) of a descriptor: the file itself, with its inode. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long result = syscall(SYS_fstat, fd, &status);

	expect("stat", "fstat", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity(&status), fd, outcome(result));
	return 0;
}
