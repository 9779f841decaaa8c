/* pidfd_open(2): a file in no directory, of pidfs and therefore a regular file since v6.9, with its name in /proc/self/fd. */
#include "case.h"
#include <sys/vfs.h>

int main(void)
{
	char link[64], called[64] = "";
	struct stat status;
	struct statfs on;

	int fd = syscall(SYS_pidfd_open, getpid(), 0);
	if (fd < 0)
		cannot("pidfd_open");
	CHECK(snprintf(link, sizeof(link), "/proc/self/fd/%d", fd) > 0 && readlink(link, called, sizeof(called) - 1) > 0);
	long result = outcome(syscall(SYS_fstat, fd, &status));

	CHECK(!fstatfs(fd, &on));
	expect("stat", "fstat", "\"path\":\"%s\",%s,\"type\":\"%s\",\"fd\":%d,\"result\":%ld", called, identity(&status),
	       on.f_type == 0x50494446 ? "file" : "anon", fd, result);
	return 0;
}
