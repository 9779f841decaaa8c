/* io_uring: openat2 without symbolic links: of a directory, then of a link to it: ELOOP. */
#include "uring.h"
#include <linux/openat2.h>

int main(void)
{
	struct uring ring = uring_setup(0);
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };

	CHECK(!mkdir("sub", 0755) && !symlink("sub", "link"));
	uring_push(&ring, IORING_OP_OPENAT2, AT_FDCWD, "sub", sizeof(how), (unsigned long)&how);
	int fd = uring_run(&ring);
	uring_push(&ring, IORING_OP_OPENAT2, AT_FDCWD, "link", sizeof(how), (unsigned long)&how);
	int refused = uring_run(&ring);

	CHECK(refused == -ELOOP);
	expect("open", "io_uring:openat2", "%s,%s,\"fd\":%d,\"flags\":[\"O_RDONLY\",\"O_DIRECTORY\",\"O_CLOEXEC\"],\"result\":%d",
	       path("sub"), identity_of(fd), fd, fd);
	expect("open", "io_uring:openat2", "%s,\"resolved\":false,\"result\":%d", path("link"), refused);
	return 0;
}
