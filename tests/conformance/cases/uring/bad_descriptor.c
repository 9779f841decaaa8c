/* io_uring: fallocate and fsync of a descriptor that is not open, with a reserved field set: EINVAL, not EBADF. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);

	uring_push(&ring, IORING_OP_FALLOCATE, 999, NULL, 0, 0)->rw_flags = 1;
	int space = uring_run(&ring);
	uring_push(&ring, IORING_OP_FSYNC, 999, (void *)1, 0, 0);
	int written = uring_run(&ring);

	CHECK(space < 0 && written < 0);
	expect("fallocate", "io_uring:fallocate", "\"fd\":999,\"result\":%d", space);
	expect("sync", "io_uring:fsync", "\"fd\":999,\"result\":%d", written);
	return 0;
}
