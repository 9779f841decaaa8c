/* statx(2) with AT_EMPTY_PATH and without a name (NULL): the descriptor's file. */
#include "case.h"

int main(void)
{
	struct statx status;

	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long result = syscall(SYS_statx, fd, NULL, AT_EMPTY_PATH, STATX_INO, &status);

	if (outcome(result) == -EFAULT)
		cannot("statx without a name");
	expect("stat", "statx", "%s,\"inode\":\"%llu\",\"device\":\"%u:%u\",\"fd\":%d,\"result\":%ld", path("a"),
	       (unsigned long long)status.stx_ino, status.stx_dev_major, status.stx_dev_minor, fd, outcome(result));
	return 0;
}
