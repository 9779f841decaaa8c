/* io_uring: a read at an offset, and one at the file's position. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	char buffer[200];

	make_file("data", 10000);
	int fd = open_file("data", O_RDONLY);
	CHECK(lseek(fd, 70, SEEK_SET) == 70);
	uring_push(&ring, IORING_OP_READ, fd, buffer, 100, 4096);
	int at = uring_run(&ring);
	uring_push(&ring, IORING_OP_READ, fd, buffer, 200, -1);
	int on = uring_run(&ring);

	CHECK(lseek(fd, 0, SEEK_CUR) == 270);
	expect("read", "io_uring:read", "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":100,\"result\":%d", path("data"), identity_of(fd), fd,
	       at);
	expect("read", "io_uring:read", "%s,%s,\"fd\":%d,\"offset\":70,\"size\":200,\"result\":%d", path("data"), identity_of(fd), fd, on);
	return 0;
}
