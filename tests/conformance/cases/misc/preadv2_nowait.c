/* preadv2(2) with RWF_NOWAIT: EAGAIN for data that is not in the cache, other data is read; offset -1 means the position. */
#include "case.h"
#include <sys/uio.h>

int main(void)
{
	static char memory[1000];
	struct iovec pieces[] = { { memory, 300 }, { memory + 300, 700 } };
	long results[2];

	int fd = open_file("data", O_CREAT | O_RDWR);
	CHECK(pwrite(fd, memory, 1000, 9000) == 1000 && !fsync(fd) && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	results[0] = outcome(preadv2(fd, pieces, 2, 8192, RWF_NOWAIT));
	if (results[0] == -EOPNOTSUPP)
		cannot("RWF_NOWAIT on this file system");
	CHECK(lseek(fd, 9400, SEEK_SET) == 9400);
	CHECK(preadv2(fd, pieces, 2, 9000, 0) == 1000);
	results[1] = outcome(preadv2(fd, pieces, 2, -1, RWF_NOWAIT));

	CHECK(results[1] == 600);
	expect("read", "preadv2", "%s,%s,\"fd\":%d,\"offset\":8192,\"size\":1000,\"result\":%ld", path("data"), identity_of(fd), fd,
	       results[0]);
	expect("read", "preadv2", "%s,%s,\"fd\":%d,\"offset\":9000,\"size\":1000,\"result\":1000", path("data"), identity_of(fd), fd);
	expect("read", "preadv2", "%s,%s,\"fd\":%d,\"offset\":9400,\"size\":1000,\"result\":%ld", path("data"), identity_of(fd), fd,
	       results[1]);
	return 0;
}
