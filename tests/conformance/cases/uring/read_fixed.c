/* io_uring: a read into a registered buffer, and a write from it. */
#include "uring.h"
#include <sys/uio.h>

int main(void)
{
	struct uring ring = uring_setup(0);
	static char memory[8192];
	struct iovec buffer = { memory, sizeof(memory) };
	int results[2];

	int fd = open_file("data", O_CREAT | O_RDWR), to = open_file("copy", O_CREAT | O_WRONLY);
	CHECK(!ftruncate(fd, 10000));
	uring_register(&ring, IORING_REGISTER_BUFFERS, &buffer, 1);
	uring_push(&ring, IORING_OP_READ_FIXED, fd, memory + 100, 1000, 512)->buf_index = 0;
	results[0] = uring_run(&ring);
	uring_push(&ring, IORING_OP_WRITE_FIXED, to, memory + 100, 700, 256)->buf_index = 0;
	results[1] = uring_run(&ring);

	expect("read", "io_uring:read_fixed", "%s,%s,\"fd\":%d,\"offset\":512,\"size\":1000,\"result\":%d", path("data"), identity_of(fd),
	       fd, results[0]);
	expect("write", "io_uring:write_fixed", "%s,%s,\"fd\":%d,\"offset\":256,\"size\":700,\"result\":%d", path("copy"), identity_of(to),
	       to, results[1]);
	return 0;
}
