/* pwritev2(2): with RWF_APPEND at the end of the file, whatever offset was given; with the offset -1 at the position. */
#include "case.h"
#include <sys/uio.h>

int main(void)
{
	struct iovec pieces[] = { { "12345", 5 }, { "678", 3 } };

	CHECK(!mknod("a", S_IFREG | 0644, 0) && !truncate("a", 300));
	int fd = open_file("a", O_WRONLY);
	CHECK(lseek(fd, 40, SEEK_SET) == 40);
	long appended = outcome(syscall(SYS_pwritev2, fd, pieces, 2, 10L, 0L, RWF_APPEND));
	long at_position = outcome(syscall(SYS_pwritev2, fd, pieces, 2, -1L, -1L, 0));

	CHECK(lseek(fd, 0, SEEK_CUR) == 48);
	expect("write", "pwritev2", "%s,%s,\"fd\":%d,\"offset\":300,\"size\":8,\"result\":%ld", path("a"), identity_of(fd), fd, appended);
	expect("write", "pwritev2", "%s,%s,\"fd\":%d,\"offset\":40,\"size\":8,\"result\":%ld", path("a"), identity_of(fd), fd, at_position);
	return 0;
}
