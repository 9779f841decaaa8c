/* newfstatat(2) by a name relative to the descriptor of a file: ENOTDIR. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long result = syscall(SYS_newfstatat, fd, "b", &status, 0);

	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":%ld", path("a/b"), outcome(result));
	return 0;
}
