/* pidfd_open(2): a file in no directory, of no type; called as /proc/self/fd calls it. */
#include "case.h"

int main(void)
{
	char link[64], called[64] = "";
	struct stat status;

	int fd = syscall(SYS_pidfd_open, getpid(), 0);
	if (fd < 0)
		cannot("pidfd_open");
	CHECK(snprintf(link, sizeof(link), "/proc/self/fd/%d", fd) > 0 && readlink(link, called, sizeof(called) - 1) > 0);
	long result = outcome(syscall(SYS_fstat, fd, &status));

	CHECK(!(status.st_mode & S_IFMT));
	expect("stat", "fstat", "\"path\":\"%s\",%s,\"type\":\"anon\",\"fd\":%d,\"result\":%ld", called, identity(&status), fd, result);
	return 0;
}
