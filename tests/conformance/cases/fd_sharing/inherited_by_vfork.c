/* A vfork(2) child reads a descriptor of its parent, whose memory it shares. */
#include "case.h"

static char buffer[100];
static volatile long result;

int main(void)
{
	make_file("data", 10000);
	int fd = open_file("data", O_RDONLY);
	pid_t child = vfork();

	if (!child) {
		result = syscall(SYS_pread64, fd, buffer, 100L, 2000L);
		_exit(0);
	}
	CHECK(waitpid(child, NULL, 0) == child && result == 100);
	expect("read", "pread64", "%s,%s,\"fd\":%d,\"offset\":2000,\"size\":100,\"result\":100", path("data"), identity_of(fd), fd);
	return 0;
}
