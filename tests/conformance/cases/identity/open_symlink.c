/* openat(2) through a symbolic link: the target; with O_NOFOLLOW: ELOOP, and the requested name. */
#include "case.h"

int main(void)
{
	CHECK(!mknod("a", S_IFREG | 0644, 0) && !symlink("a", "link"));
	int fd = syscall(SYS_openat, AT_FDCWD, "link", O_RDONLY);
	long refused = outcome(syscall(SYS_openat, AT_FDCWD, "link", O_RDONLY | O_NOFOLLOW));

	CHECK(fd >= 0);
	expect("open", "openat", "%s,%s,\"fd\":%d,\"flags\":[\"O_RDONLY\"],\"result\":%d", path("a"), identity_of(fd), fd, fd);
	expect("open", "openat", "%s,\"resolved\":false,\"flags\":[\"O_RDONLY\",\"O_NOFOLLOW\"],\"result\":%ld", path("link"), refused);
	return 0;
}
