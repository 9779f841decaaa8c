/* io_uring: a read that the end of the file cuts short, and one beyond it. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	char buffer[4096];

	make_file("data", 10000);
	int fd = open_file("data", O_RDONLY);
	for (int i = 0; i < 2; i++) {
		uring_push(&ring, IORING_OP_READ, fd, buffer, 4096, 9000 + 3000 * i);
		int result = uring_run(&ring);

		CHECK(result == (i ? 0 : 1000));
		expect("read", "io_uring:read", "%s,%s,\"fd\":%d,\"offset\":%d,\"size\":4096,\"result\":%d", path("data"), identity_of(fd),
		       fd, 9000 + 3000 * i, result);
	}
	return 0;
}
