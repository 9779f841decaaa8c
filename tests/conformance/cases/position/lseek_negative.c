/* lseek(2) to before the beginning: EINVAL, and the position does not change. */
#include "case.h"

int main(void)
{
	make_file("a", 1000);
	int fd = open_file("a", O_RDONLY);
	long before = outcome(syscall(SYS_lseek, fd, -5L, SEEK_SET));
	long here = outcome(syscall(SYS_lseek, fd, 0L, SEEK_CUR));

	expect("seek", "lseek", "%s,%s,\"fd\":%d,\"offset\":-5,\"whence\":\"SEEK_SET\",\"result\":%ld", path("a"), identity_of(fd), fd,
	       before);
	expect("seek", "lseek", "%s,%s,\"fd\":%d,\"offset\":0,\"whence\":\"SEEK_CUR\",\"result\":%ld", path("a"), identity_of(fd), fd,
	       here);
	return 0;
}
