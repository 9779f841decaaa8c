/* chdir(2) to a missing name: ENOENT; to a file: ENOTDIR; fchdir(2) to a file: ENOTDIR. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long missing = outcome(syscall(SYS_chdir, "nowhere"));
	long file = outcome(syscall(SYS_chdir, "a"));
	long descriptor = outcome(syscall(SYS_fchdir, fd));

	expect("chdir", "chdir", "%s,\"resolved\":false,\"result\":%ld", path("nowhere"), missing);
	expect("chdir", "chdir", "%s,\"resolved\":false,\"result\":%ld", path("a"), file);
	expect("chdir", "fchdir", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity_of(fd), fd, descriptor);
	return 0;
}
