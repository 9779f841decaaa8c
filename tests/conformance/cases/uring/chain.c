/* io_uring: a chain of write, fsync and close, submitted at once; each begins when the one before it is done. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);

	int fd = open_file("data", O_CREAT | O_WRONLY);
	const char *status = identity_of(fd);
	uring_push(&ring, IORING_OP_WRITE, fd, "0123456789", 10, 300)->flags = IOSQE_IO_LINK;
	uring_push(&ring, IORING_OP_FSYNC, fd, NULL, 0, 0)->flags = IOSQE_IO_LINK;
	uring_push(&ring, IORING_OP_CLOSE, fd, NULL, 0, 0);
	int written = uring_run(&ring), synced = uring_wait(&ring), closed = uring_wait(&ring);

	CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
	expect("write", "io_uring:write", "%s,%s,\"fd\":%d,\"offset\":300,\"size\":10,\"result\":%d", path("data"), status, fd, written);
	expect("sync", "io_uring:fsync", "%s,%s,\"fd\":%d,\"result\":%d", path("data"), status, fd, synced);
	expect("close", "io_uring:close", "%s,%s,\"fd\":%d,\"result\":%d", path("data"), status, fd, closed);
	return 0;
}
