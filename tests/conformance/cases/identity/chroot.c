/* In a chroot, a file's path starts at the root of the mount namespace. */
#include "case.h"

int main(void)
{
	char content[100];

	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	const char *there = path("sub/a");
	if (chroot("sub") || chdir("/"))
		cannot("chroot needs CAP_SYS_CHROOT");
	int fd = open_file("/a", O_RDONLY);
	long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));

	expect("read", "read", "%s,%s,\"fd\":%d,\"result\":%ld", there, identity_of(fd), fd, result);
	return 0;
}
