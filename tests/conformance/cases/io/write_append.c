/* write(2) with O_APPEND: it begins at the end of the file, whatever the position is. */
#include "case.h"

int main(void)
{
	CHECK(!mknod("a", S_IFREG | 0644, 0) && !truncate("a", 300));
	int fd = open_file("a", O_WRONLY | O_APPEND);
	CHECK(lseek(fd, 5, SEEK_SET) == 5);
	long first = outcome(syscall(SYS_write, fd, "0123456789", 10));
	CHECK(!ftruncate(fd, 8));
	long second = outcome(syscall(SYS_write, fd, "0123456789", 4));

	CHECK(lseek(fd, 0, SEEK_CUR) == 12);
	expect("write", "write", "%s,%s,\"fd\":%d,\"offset\":300,\"size\":10,\"result\":%ld", path("a"), identity_of(fd), fd, first);
	expect("write", "write", "%s,%s,\"fd\":%d,\"offset\":8,\"size\":4,\"result\":%ld", path("a"), identity_of(fd), fd, second);
	return 0;
}
