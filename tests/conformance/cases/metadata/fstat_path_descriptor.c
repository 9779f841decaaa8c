/* fstat(2) of a descriptor made with O_PATH, of a symbolic link. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!symlink("nowhere", "link"));
	int fd = open_file("link", O_PATH | O_NOFOLLOW);
	long result = syscall(SYS_fstat, fd, &status);

	CHECK(S_ISLNK(status.st_mode));
	expect("stat", "fstat", "%s,%s,\"fd\":%d,\"result\":%ld", path("link"), identity(&status), fd, outcome(result));
	return 0;
}
