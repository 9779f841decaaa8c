/* io_uring: a write at an offset, one at the file's position, and one to a file open for appending. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	static const int offsets[] = { 5000, 40, 5100 };
	int results[3];

	int fd = open_file("data", O_CREAT | O_WRONLY), end = open_file("data", O_WRONLY | O_APPEND);
	CHECK(lseek(fd, 40, SEEK_SET) == 40);
	for (int i = 0; i < 3; i++) {
		static char content[100];

		uring_push(&ring, IORING_OP_WRITE, i < 2 ? fd : end, content, 100, i ? -1 : 5000);
		results[i] = uring_run(&ring);
	}
	CHECK(lseek(fd, 0, SEEK_CUR) == 140 && lseek(fd, 0, SEEK_END) == 5200);
	for (int i = 0; i < 3; i++)
		expect("write", "io_uring:write", "%s,%s,\"fd\":%d,\"offset\":%d,\"size\":100,\"result\":%d", path("data"), identity_of(fd),
		       i < 2 ? fd : end, offsets[i], results[i]);
	return 0;
}
