/* io_uring: a read by a worker thread (IOSQE_ASYNC). */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	char buffer[300];

	make_file("data", 10000);
	int fd = open_file("data", O_RDONLY);
	uring_push(&ring, IORING_OP_READ, fd, buffer, 300, 5000)->flags = IOSQE_ASYNC;
	int result = uring_run(&ring);

	expect("read", "io_uring:read", "%s,%s,\"fd\":%d,\"offset\":5000,\"size\":300,\"result\":%d", path("data"), identity_of(fd), fd,
	       result);
	return 0;
}
