/* utimensat(2) without a name (NULL, as in futimens(3)), and with AT_EMPTY_PATH: the descriptor's file. */
#include "case.h"

int main(void)
{
	struct timespec times[2] = { { 1000, 0 }, { 2000, 0 } };

	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long null = outcome(syscall(SYS_utimensat, fd, NULL, times, 0));
	long empty = outcome(syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH));

	expect("setattr", "utimensat", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity_of(fd), fd, null);
	expect("setattr", "utimensat", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity_of(fd), fd, empty);
	return 0;
}
