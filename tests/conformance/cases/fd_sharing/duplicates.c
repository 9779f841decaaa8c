/* dup3(2) to a chosen number, fcntl(2) F_DUPFD and F_DUPFD_CLOEXEC: all duplicates share one position. */
#include "case.h"

int main(void)
{
	int fds[4];
	char buffer[100];

	make_file("data", 10000);
	fds[0] = open_file("data", O_RDONLY);
	fds[1] = syscall(SYS_dup3, fds[0], 77, O_CLOEXEC);
	fds[2] = syscall(SYS_fcntl, fds[1], F_DUPFD, 70);
	fds[3] = syscall(SYS_fcntl, fds[2], F_DUPFD_CLOEXEC, 71);
	CHECK(fds[1] == 77 && fds[2] == 70 && fds[3] == 71);
	for (int i = 1; i < 4; i++)
		expect("dup", i == 1 ? "dup3" : "fcntl", "%s,%s,\"fd\":%d,\"result\":%d", path("data"), identity_of(fds[i]), fds[i - 1],
		       fds[i]);
	for (int i = 0; i < 4; i++) {
		long result = outcome(syscall(SYS_read, fds[i], buffer, 100));

		expect("read", "read", "%s,\"fd\":%d,\"offset\":%d,\"size\":100,\"result\":%ld", path("data"), fds[i], 100 * i, result);
	}
	return 0;
}
