/* close_range(2) that closes nothing: a range without descriptors, one that only sets close-on-exec, one that ends before it begins. */
#include "case.h"

int main(void)
{
	int fd = open_file("data", O_CREAT | O_RDWR);

	CHECK(!syscall(SYS_close_range, 500, 600, 0));
	if (syscall(SYS_close_range, fd, fd + 10, 1 << 2) && errno == EINVAL) /* since v5.11 */
		cannot("close_range's CLOSE_RANGE_CLOEXEC");
	CHECK(syscall(SYS_close_range, fd, fd - 1, 0) == -1);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	puts("{\"op\":\"close\",\"none\":true}");
	return 0;
}
