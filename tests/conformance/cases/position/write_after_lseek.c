/* write(2) beyond the end of a file, at the position set by lseek(2). */
#include "case.h"

int main(void)
{
	int fd = open_file("a", O_CREAT | O_RDWR);
	CHECK(lseek(fd, 123456, SEEK_SET) == 123456);
	long first = outcome(syscall(SYS_write, fd, "12345", 5));
	long second = outcome(syscall(SYS_write, fd, "678", 3));

	expect("write", "write", "%s,%s,\"fd\":%d,\"offset\":123456,\"size\":5,\"result\":%ld", path("a"), identity_of(fd), fd, first);
	expect("write", "write", "%s,%s,\"fd\":%d,\"offset\":123461,\"size\":3,\"result\":%ld", path("a"), identity_of(fd), fd, second);
	return 0;
}
