/* newfstatat(2) with AT_EMPTY_PATH and the empty name: as fstat(2), the descriptor's file. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long result = syscall(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH);

	expect("stat", "newfstatat", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity(&status), fd, outcome(result));
	return 0;
}
