/* io_uring: madvise of the second half of a mapping. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);

	make_file("data", 16384);
	int fd = open_file("data", O_RDONLY);
	char *at = mmap(NULL, 16384, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(at != MAP_FAILED);
	uring_push(&ring, IORING_OP_MADVISE, -1, at + 8192, 8192, 0)->fadvise_advice = MADV_SEQUENTIAL;
	int result = uring_run(&ring);

	expect("madvise", "io_uring:madvise",
	       "%s,%s,\"address\":\"%p\",\"size\":8192,\"offset\":8192,\"advice\":\"MADV_SEQUENTIAL\",\"result\":%d", path("data"),
	       identity_of(fd), at + 8192, result);
	return 0;
}
