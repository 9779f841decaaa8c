/* io_uring: ftruncate to a length, and of a descriptor open for reading only: EINVAL. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	struct stat status;

	uring_need(&ring, RING_OP_FTRUNCATE, "io_uring's ftruncate");
	make_file("data", 10000);
	int fd = open_file("data", O_WRONLY), reader = open_file("data", O_RDONLY);
	uring_push(&ring, RING_OP_FTRUNCATE, fd, NULL, 0, 777);
	int cut = uring_run(&ring);
	uring_push(&ring, RING_OP_FTRUNCATE, reader, NULL, 0, 20000);
	int refused = uring_run(&ring);

	CHECK(!fstat(fd, &status) && status.st_size == 777);
	expect("truncate", "io_uring:ftruncate", "%s,%s,\"fd\":%d,\"size\":777,\"result\":%d", path("data"), identity(&status), fd, cut);
	expect("truncate", "io_uring:ftruncate", "%s,%s,\"fd\":%d,\"size\":20000,\"result\":%d", path("data"), identity(&status), reader,
	       refused);
	return 0;
}
