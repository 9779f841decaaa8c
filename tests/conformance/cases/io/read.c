/* read(2) at the current position, which is reported although the call has no offset. */
#include "case.h"

int main(void)
{
	char content[100];

	make_file("a", 1000);
	int fd = open_file("a", O_RDONLY);
	long first = outcome(syscall(SYS_read, fd, content, 100));
	long second = outcome(syscall(SYS_read, fd, content, 50));

	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":0,\"size\":100,\"result\":%ld", path("a"), identity_of(fd), fd, first);
	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":100,\"size\":50,\"result\":%ld", path("a"), identity_of(fd), fd, second);
	return 0;
}
