/* sync_file_range(2) of a part of a file, and with a negative offset: EINVAL. */
#include "case.h"

int main(void)
{
	make_file("a", 16384);
	int fd = open_file("a", O_RDWR);
	long part = outcome(syscall(SYS_sync_file_range, fd, 4096L, 8192L, SYNC_FILE_RANGE_WRITE));
	long refused = outcome(syscall(SYS_sync_file_range, fd, -1L, 10L, SYNC_FILE_RANGE_WRITE));

	expect("sync", "sync_file_range", "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":8192,\"result\":%ld", path("a"), identity_of(fd), fd,
	       part);
	expect("sync", "sync_file_range", "%s,%s,\"fd\":%d,\"size\":10,\"result\":%ld", path("a"), identity_of(fd), fd, refused);
	return 0;
}
