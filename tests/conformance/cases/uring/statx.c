/* io_uring: statx by name, of a missing name, and of a descriptor (AT_EMPTY_PATH). */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	struct statx status;
	int results[3];

	make_file("data", 10);
	int fd = open_file("data", O_RDONLY);
	uring_push(&ring, IORING_OP_STATX, AT_FDCWD, "data", STATX_BASIC_STATS, (unsigned long)&status);
	results[0] = uring_run(&ring);
	uring_push(&ring, IORING_OP_STATX, AT_FDCWD, "missing", STATX_BASIC_STATS, (unsigned long)&status);
	results[1] = uring_run(&ring);
	uring_push(&ring, IORING_OP_STATX, fd, "", STATX_INO, (unsigned long)&status)->statx_flags = AT_EMPTY_PATH;
	results[2] = uring_run(&ring);

	expect("stat", "io_uring:statx", "%s,\"resolved\":false,\"result\":%d", path("data"), results[0]);
	expect("stat", "io_uring:statx", "%s,\"resolved\":false,\"result\":%d", path("missing"), results[1]);
	expect("stat", "io_uring:statx", "%s,\"inode\":\"%llu\",\"device\":\"%u:%u\",\"fd\":%d,\"result\":%d", path("data"),
	       (unsigned long long)status.stx_ino, status.stx_dev_major, status.stx_dev_minor, fd, results[2]);
	return 0;
}
