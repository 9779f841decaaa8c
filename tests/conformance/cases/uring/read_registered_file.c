/* io_uring: a registered file (IORING_REGISTER_FILES), given by its index; its descriptor is closed. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	char buffer[300];

	make_file("data", 10000);
	make_file("other", 10000);
	int fds[] = { open_file("other", O_RDONLY), open_file("data", O_RDONLY) };
	const char *status = identity_of(fds[1]);
	uring_register(&ring, IORING_REGISTER_FILES, fds, 2);
	CHECK(!close(fds[0]) && !close(fds[1]));
	uring_push(&ring, IORING_OP_READ, 1, buffer, 300, 2000)->flags = IOSQE_FIXED_FILE;
	int result = uring_run(&ring);

	expect("read", "io_uring:read", "%s,%s,\"offset\":2000,\"size\":300,\"result\":%d", path("data"), status, result);
	return 0;
}
