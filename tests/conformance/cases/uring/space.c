/* io_uring: fallocate, fadvise, fsync and sync_file_range of one file. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	int results[4];

	int fd = open_file("data", O_CREAT | O_RDWR);
	uring_push(&ring, IORING_OP_FALLOCATE, fd, (void *)65536, FALLOC_FL_KEEP_SIZE, 4096);
	results[0] = uring_run(&ring);
	uring_push(&ring, IORING_OP_FADVISE, fd, NULL, 8192, 16384)->fadvise_advice = POSIX_FADV_WILLNEED;
	results[1] = uring_run(&ring);
	uring_push(&ring, IORING_OP_FSYNC, fd, NULL, 0, 0)->fsync_flags = IORING_FSYNC_DATASYNC;
	results[2] = uring_run(&ring);
	uring_push(&ring, IORING_OP_SYNC_FILE_RANGE, fd, NULL, 8192, 4096)->sync_range_flags = SYNC_FILE_RANGE_WRITE;
	results[3] = uring_run(&ring);

	expect("fallocate", "io_uring:fallocate",
	       "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":65536,\"flags\":[\"FALLOC_FL_KEEP_SIZE\"],\"result\":%d", path("data"),
	       identity_of(fd), fd, results[0]);
	expect("advise", "io_uring:fadvise",
	       "%s,%s,\"fd\":%d,\"offset\":16384,\"size\":8192,\"advice\":\"POSIX_FADV_WILLNEED\",\"result\":%d", path("data"),
	       identity_of(fd), fd, results[1]);
	expect("sync", "io_uring:fsync", "%s,%s,\"fd\":%d,\"result\":%d", path("data"), identity_of(fd), fd, results[2]);
	expect("sync", "io_uring:sync_file_range", "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":8192,\"result\":%d", path("data"),
	       identity_of(fd), fd, results[3]);
	return 0;
}
