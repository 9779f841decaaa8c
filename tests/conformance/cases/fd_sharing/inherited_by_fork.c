/* A descriptor that a child inherits: its reads and the parent's share one position. */
#include "case.h"

static void read_on(int fd, int offset)
{
	char buffer[100];
	long result = outcome(syscall(SYS_read, fd, buffer, sizeof(buffer)));

	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":%d,\"size\":100,\"result\":%ld", path("data"), identity_of(fd), fd, offset,
	       result);
}

int main(void)
{
	make_file("data", 10000);
	int fd = open_file("data", O_RDONLY);
	pid_t child = fork();

	if (child)
		CHECK(waitpid(child, NULL, 0) == child);
	read_on(fd, child ? 100 : 0);
	return 0;
}
