/* io_uring: reads of a descriptor that is not open, and of one open for writing only: EBADF. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	char buffer[100];

	int fd = open_file("data", O_CREAT | O_WRONLY);
	uring_push(&ring, IORING_OP_READ, 999, buffer, 100, 0);
	int closed = uring_run(&ring);
	uring_push(&ring, IORING_OP_READ, fd, buffer, 100, 0);
	int unreadable = uring_run(&ring);

	CHECK(closed == -EBADF && unreadable == -EBADF);
	expect("read", "io_uring:read", "\"fd\":999,\"result\":%d", closed);
	expect("read", "io_uring:read", "%s,%s,\"fd\":%d,\"result\":%d", path("data"), identity_of(fd), fd, unreadable);
	return 0;
}
