/* io_uring: a request that waits for all before it (IOSQE_IO_DRAIN), submitted together with them. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	char buffer[300];

	make_file("data", 10000);
	int fd = open_file("data", O_RDONLY);
	uring_push(&ring, IORING_OP_READ, fd, buffer, 300, 6000)->flags = IOSQE_ASYNC;
	uring_push(&ring, IORING_OP_READ, fd, buffer, 200, 3000)->flags = IOSQE_IO_DRAIN;
	int first = uring_run(&ring), second = uring_wait(&ring);

	expect("read", "io_uring:read", "%s,%s,\"fd\":%d,\"offset\":6000,\"size\":300,\"result\":%d", path("data"), identity_of(fd), fd,
	       first);
	expect("read", "io_uring:read", "%s,%s,\"fd\":%d,\"offset\":3000,\"size\":200,\"result\":%d", path("data"), identity_of(fd), fd,
	       second);
	return 0;
}
