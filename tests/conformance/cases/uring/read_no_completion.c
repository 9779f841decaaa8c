/* io_uring: a request without a completion if it succeeds (IOSQE_CQE_SKIP_SUCCESS), and one with a completion. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	char buffer[300] = "", other[100];

	make_file("data", 10000);
	int fd = open_file("data", O_RDWR);
	CHECK(pwrite(fd, "x", 1, 7001) == 1);
	uring_push(&ring, IORING_OP_READ, fd, buffer, 300, 7000)->flags = IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK;
	uring_push(&ring, IORING_OP_READ, fd, other, 100, 8000);
	int result = uring_run(&ring);

	CHECK(result == 100 && buffer[1] == 'x');
	expect("read", "io_uring:read", "%s,%s,\"fd\":%d,\"offset\":7000,\"size\":300", path("data"), identity_of(fd), fd);
	expect("read", "io_uring:read", "%s,%s,\"fd\":%d,\"offset\":8000,\"size\":100,\"result\":%d", path("data"), identity_of(fd), fd,
	       result);
	return 0;
}
