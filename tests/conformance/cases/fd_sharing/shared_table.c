/* A process made with clone(2) CLONE_FILES opens a file: its parent reads it, by a descriptor that it did not open. */
#include "case.h"
#include <sched.h>
#include <signal.h>

int main(void)
{
	char buffer[100];
	int status;

	make_file("data", 10000);
	pid_t child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (!child)
		exit(open_file("data", O_RDONLY));
	CHECK(waitpid(child, &status, 0) == child);
	int fd = WEXITSTATUS(status);
	long result = outcome(syscall(SYS_pread64, fd, buffer, 100L, 3000L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"offset\":3000,\"size\":100,\"result\":%ld", path("data"), identity_of(fd), fd, result);
	return 0;
}
