/* pread64(2) has its own offset and does not change the position. */
#include "case.h"

int main(void)
{
	char content[1000];

	make_file("a", 1000);
	int fd = open_file("a", O_RDONLY);
	long first = outcome(syscall(SYS_read, fd, content, 10));
	long apart = outcome(syscall(SYS_pread64, fd, content, 20, 500L));
	long second = outcome(syscall(SYS_read, fd, content, 30));

	expect("read", "read", "%s,%s,\"offset\":0,\"size\":10,\"result\":%ld", path("a"), identity_of(fd), first);
	expect("read", "pread64", "%s,%s,\"offset\":500,\"size\":20,\"result\":%ld", path("a"), identity_of(fd), apart);
	expect("read", "read", "%s,%s,\"offset\":10,\"size\":30,\"result\":%ld", path("a"), identity_of(fd), second);
	return 0;
}
