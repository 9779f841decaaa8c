/* copy_file_range(2) within one file: overlapping: EINVAL; not overlapping: done. Source and target are the same. */
#include "case.h"

int main(void)
{
	off_t in = 0, out;

	make_file("data", 10000);
	int fd = open_file("data", O_RDWR);
	for (int i = 0; i < 2; i++) {
		out = i ? 4000 : 1000;
		long result = outcome(copy_file_range(fd, &in, fd, &out, 3000, 0));

		expect("copy_file_range", "copy_file_range",
		       "%s,%s,\"fd\":%d,\"offset\":0,\"size\":3000,\"target\":{%s,%s},\"target_fd\":%d,\"target_offset\":%d,\"result\":%ld",
		       path("data"), identity_of(fd), fd, path("data"), identity_of(fd), fd, i ? 4000 : 1000, result);
	}
	return 0;
}
