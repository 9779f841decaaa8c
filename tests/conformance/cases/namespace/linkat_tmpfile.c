/* A file without a name (O_TMPFILE) is named: linkat(2) with AT_SYMLINK_FOLLOW of its link in /proc. */
#include "case.h"

int main(void)
{
	char name[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0644);

	if (fd < 0)
		cannot("O_TMPFILE");
	sprintf(name, "/proc/self/fd/%d", fd);
	long result = syscall(SYS_linkat, AT_FDCWD, name, AT_FDCWD, "b", AT_SYMLINK_FOLLOW);

	expect("link", "linkat", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path(name), path("b"),
	       outcome(result));
	return 0;
}
