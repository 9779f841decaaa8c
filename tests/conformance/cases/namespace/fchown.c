/* fchown(2) of a descriptor. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long result = syscall(SYS_fchown, fd, 12, 34);

	expect("setattr", "fchown", "%s,%s,\"fd\":%d,\"owner\":{\"uid\":12,\"gid\":34},\"result\":%ld", path("a"), identity_of(fd), fd,
	       outcome(result));
	return 0;
}
