/* io_uring: a kernel thread takes the requests (IORING_SETUP_SQPOLL), without a system call of the process. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(IORING_SETUP_SQPOLL);
	char buffer[300];

	make_file("data", 10000);
	int fd = open_file("data", O_RDONLY);
	for (int i = 0; i < 3; i++) {
		uring_push(&ring, IORING_OP_READ, fd, buffer, 300, 1000 * i);
		int result = uring_run(&ring);

		expect("read", "io_uring:read", "%s,%s,\"fd\":%d,\"offset\":%d,\"size\":300,\"result\":%d", path("data"), identity_of(fd),
		       fd, 1000 * i, result);
	}
	return 0;
}
