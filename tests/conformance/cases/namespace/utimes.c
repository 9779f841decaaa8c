/* The old calls that set times: utime(2), utimes(2), and futimesat(2) by name and, without one (NULL), by descriptor. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int directory = open_file("sub", O_RDONLY | O_DIRECTORY);
	long utime = outcome(syscall(SYS_utime, "sub/a", NULL));
	long utimes = outcome(syscall(SYS_utimes, "sub/b", NULL));
	long named = outcome(syscall(SYS_futimesat, directory, "a", NULL));
	long descriptor = outcome(syscall(SYS_futimesat, directory, NULL, NULL));

	expect("setattr", "utime", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), utime);
	expect("setattr", "utimes", "%s,\"resolved\":false,\"result\":%ld", path("sub/b"), utimes);
	expect("setattr", "futimesat", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), named);
	expect("setattr", "futimesat", "%s,%s,\"fd\":%d,\"result\":%ld", path("sub"), identity_of(directory), directory, descriptor);
	return 0;
}
