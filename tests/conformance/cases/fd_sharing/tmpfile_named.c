/* O_TMPFILE, then named with linkat(2) of /proc/self/fd/N, and opened by that name. */
#include "case.h"

int main(void)
{
	char link[64];

	int fd = syscall(SYS_open, ".", O_TMPFILE | O_WRONLY, 0600);
	if (fd < 0)
		cannot("O_TMPFILE");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	long linked = outcome(syscall(SYS_linkat, AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	int again = syscall(SYS_open, "named", O_RDONLY);

	expect("open", "open", "%s,\"result\":%d", identity_of(fd), fd);
	expect("link", "linkat", "%s,\"resolved\":false,\"target\":{%s},\"result\":%ld", path(link), path("named"), linked);
	expect("open", "open", "%s,\"fd\":%d,\"result\":%d", identity_of(fd), again, again);
	return 0;
}
