/* io_uring: readv and writev of three parts each. */
#include "uring.h"
#include <sys/uio.h>

int main(void)
{
	struct uring ring = uring_setup(0);
	char memory[6000] = "";
	struct iovec pieces[] = { { memory, 1000 }, { memory + 1000, 2000 }, { memory + 3000, 3000 } };

	int fd = open_file("data", O_CREAT | O_RDWR);
	uring_push(&ring, IORING_OP_WRITEV, fd, pieces, 3, 100);
	int written = uring_run(&ring);
	uring_push(&ring, IORING_OP_READV, fd, pieces, 3, 4096);
	int got = uring_run(&ring);

	CHECK(written == 6000 && got == 2004);
	expect("write", "io_uring:writev", "%s,%s,\"fd\":%d,\"offset\":100,\"size\":6000,\"result\":%d", path("data"), identity_of(fd), fd,
	       written);
	expect("read", "io_uring:readv", "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":6000,\"result\":%d", path("data"), identity_of(fd), fd,
	       got);
	return 0;
}
