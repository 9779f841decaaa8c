/* close(2) of one of two descriptors of an open file, of the other one, and once more: EBADF. */
#include "case.h"

int main(void)
{
	int fd = open_file("a", O_CREAT | O_RDWR);
	int other = dup(fd);
	const char *file = identity_of(fd);

	CHECK(other >= 0);
	long first = outcome(syscall(SYS_close, fd));
	long second = outcome(syscall(SYS_close, other));
	long third = outcome(syscall(SYS_close, other));
	expect("close", "close", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), file, fd, first);
	expect("close", "close", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), file, other, second);
	expect("close", "close", "\"fd\":%d,\"result\":%ld", other, third);
	return 0;
}
