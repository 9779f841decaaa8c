/* io_uring: an open into the ring's table of files (a direct descriptor), linked to a read of it. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	struct stat status;
	int none = -1;
	char buffer[300];

	CHECK(!mknod("data", S_IFREG | 0644, 0) && !truncate("data", 10000) && !stat("data", &status));
	uring_register(&ring, IORING_REGISTER_FILES, &none, 1);
	struct io_uring_sqe *open = uring_push(&ring, IORING_OP_OPENAT, AT_FDCWD, "data", 0, 0);
	open->file_index = 1;
	open->flags = IOSQE_IO_LINK;
	uring_push(&ring, IORING_OP_READ, 0, buffer, 300, 9900)->flags = IOSQE_FIXED_FILE;
	int opened = uring_run(&ring), result = uring_wait(&ring);

	CHECK(opened == 0 && result == 100);
	expect("open", "io_uring:openat", "%s,\"resolved\":false,\"result\":%d", path("data"), opened);
	expect("read", "io_uring:read", "%s,%s,\"offset\":9900,\"size\":300,\"result\":%d", path("data"), identity(&status), result);
	return 0;
}
