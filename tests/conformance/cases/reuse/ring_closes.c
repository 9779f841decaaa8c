/* io_uring: closes of files that are opened in turn, each with the descriptor and the struct file of the one before. */
#include "reuse.h"
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	char name[32];

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		int fd = open_file(name, O_CREAT | O_RDWR);
		const char *status = identity_of(fd);
		uring_push(&ring, IORING_OP_CLOSE, fd, NULL, 0, 0);
		int closed = uring_run(&ring);
		expect("close", "io_uring:close", "%s,%s,\"fd\":%d,\"result\":%d", path(name), status, fd, closed);
	}
	return 0;
}
