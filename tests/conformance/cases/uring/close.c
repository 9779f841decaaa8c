/* io_uring: close of an open descriptor, then of the same again: EBADF. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);

	int fd = open_file("data", O_CREAT | O_RDWR);
	const char *status = identity_of(fd);
	uring_push(&ring, IORING_OP_CLOSE, fd, NULL, 0, 0);
	int closed = uring_run(&ring);
	uring_push(&ring, IORING_OP_CLOSE, fd, NULL, 0, 0);
	int again = uring_run(&ring);

	CHECK(again == -EBADF);
	expect("close", "io_uring:close", "%s,%s,\"fd\":%d,\"result\":%d", path("data"), status, fd, closed);
	expect("close", "io_uring:close", "\"fd\":%d,\"result\":%d", fd, again);
	return 0;
}
