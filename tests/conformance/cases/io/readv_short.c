/* readv(2) into three parts, cut short by the end of the file, and once more at the end. */
#include "case.h"
#include <sys/uio.h>

int main(void)
{
	char content[1000];
	struct iovec pieces[] = { { content, 100 }, { content + 100, 0 }, { content + 100, 900 } };

	make_file("a", 1200);
	int fd = open_file("a", O_RDONLY);
	CHECK(lseek(fd, 700, SEEK_SET) == 700);
	long short_one = outcome(syscall(SYS_readv, fd, pieces, 3));
	long none = outcome(syscall(SYS_readv, fd, pieces, 3));

	CHECK(short_one == 500 && none == 0);
	expect("read", "readv", "%s,%s,\"fd\":%d,\"offset\":700,\"size\":1000,\"result\":500", path("a"), identity_of(fd), fd);
	expect("read", "readv", "%s,%s,\"fd\":%d,\"offset\":1200,\"size\":1000,\"result\":0", path("a"), identity_of(fd), fd);
	return 0;
}
