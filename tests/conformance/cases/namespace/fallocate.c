/* fallocate(2) of space in a file, and of zero bytes: EINVAL. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	int fd = open_file("a", O_RDWR);
	long room = outcome(syscall(SYS_fallocate, fd, 0, 4096L, 8192L));
	long none = outcome(syscall(SYS_fallocate, fd, 0, 4096L, 0L));

	expect("fallocate", "fallocate", "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":8192,\"result\":%ld", path("a"), identity_of(fd), fd,
	       room);
	expect("fallocate", "fallocate", "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":0,\"result\":%ld", path("a"), identity_of(fd), fd, none);
	return 0;
}
