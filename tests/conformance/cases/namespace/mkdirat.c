/* mkdirat(2) by a name relative to a directory's descriptor, with an umask: the requested mode is reported. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	int directory = open_file("sub", O_PATH | O_DIRECTORY);
	umask(077);
	long result = syscall(SYS_mkdirat, directory, "deep", 01777);

	expect("mkdir", "mkdir", "%s,\"resolved\":false,\"mode\":\"0755\",\"result\":0", path("sub"));
	expect("mkdir", "mkdirat", "%s,\"resolved\":false,\"mode\":\"01777\",\"result\":%ld", path("sub/deep"), outcome(result));
	return 0;
}
