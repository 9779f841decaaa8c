/* pidfd_getfd(2): a process gets a descriptor of another one, and reads it. */
#include "case.h"
#include <signal.h>
#include <sys/prctl.h>

int main(void)
{
	int number, ends[2];
	char buffer[100];

	make_file("data", 10000);
	CHECK(!pipe(ends));
	pid_t child = fork();
	if (!child) {
		CHECK(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		number = open_file("data", O_RDONLY);
		CHECK(write(ends[1], &number, sizeof(number)) == sizeof(number));
		pause();
	}
	CHECK(read(ends[0], &number, sizeof(number)) == sizeof(number));
	int fd = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, child, 0), number, 0);
	CHECK(fd >= 0);
	long result = outcome(syscall(SYS_pread64, fd, buffer, 100L, 400L));
	CHECK(!kill(child, SIGKILL) && waitpid(child, NULL, 0) == child);

	expect("dup", "pidfd_getfd", "%s,%s,\"result\":%d", path("data"), identity_of(fd), fd);
	expect("read", "pread64", "%s,%s,\"fd\":%d,\"offset\":400,\"size\":100,\"result\":%ld", path("data"), identity_of(fd), fd, result);
	return 0;
}
