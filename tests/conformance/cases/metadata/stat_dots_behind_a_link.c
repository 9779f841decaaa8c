/* stat(2) of link/../a, where the link leads elsewhere: the normalised text is a, and the requested name is reported too. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("deep", 0755) && !mkdir("deep/sub", 0755) && !symlink("deep/sub", "link"));
	make_file("deep/a", 10);
	long result = outcome(syscall(SYS_stat, "link/../a", &status));
	long plain = outcome(syscall(SYS_stat, "deep/a", &status));

	CHECK(!result && status.st_size == 10);
	expect("stat", "stat", "%s,\"requested\":\"link/../a\",\"resolved\":false,\"result\":%ld", path("a"), result);
	expect("stat", "stat", "%s,\"requested\":null,\"resolved\":false,\"result\":%ld", path("deep/a"), plain);
	return 0;
}
