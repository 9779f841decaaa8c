/* pwritev(2) beyond the end of the file, and preadv(2) from the hole on, in several parts: the position does not change. */
#include "case.h"
#include <sys/uio.h>

int main(void)
{
	char content[100];
	struct iovec out[] = { { "123", 3 }, { "4567", 4 } }, in[] = { { content, 10 }, { content + 10, 90 } };

	CHECK(!mknod("a", S_IFREG | 0644, 0));
	int fd = open_file("a", O_RDWR);
	long written = outcome(syscall(SYS_pwritev, fd, out, 2, 5000L, 0L));
	long got = outcome(syscall(SYS_preadv, fd, in, 2, 4950L, 0L));

	CHECK(written == 7 && got == 57 && lseek(fd, 0, SEEK_CUR) == 0);
	expect("write", "pwritev", "%s,%s,\"fd\":%d,\"offset\":5000,\"size\":7,\"result\":7", path("a"), identity_of(fd), fd);
	expect("read", "preadv", "%s,%s,\"fd\":%d,\"offset\":4950,\"size\":100,\"result\":57", path("a"), identity_of(fd), fd);
	return 0;
}
