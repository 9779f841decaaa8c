/* A child moves the position of an inherited descriptor; its parent reads on from there. */
#include "case.h"

int main(void)
{
	char content[100];
	int status;

	make_file("a", 1000);
	int fd = open_file("a", O_RDONLY);
	pid_t child = fork();
	if (child == 0)
		_exit(syscall(SYS_read, fd, content, 100) == 100 ? 0 : 1);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	long result = outcome(syscall(SYS_read, fd, content, 50));

	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":0,\"size\":100,\"result\":100", path("a"), identity_of(fd), fd);
	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":100,\"size\":50,\"result\":%ld", path("a"), identity_of(fd), fd, result);
	return 0;
}
