/* symlinkat(2) relative to a directory's descriptor: the link's text is relative to the link's own directory. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("sub", 0755) && !mkdir("sub/deep", 0755));
	make_file("sub/a", 10);
	int directory = open_file("sub", O_PATH | O_DIRECTORY);
	long result = syscall(SYS_symlinkat, "../a", directory, "deep/link");

	CHECK(!stat("sub/deep/link", &status));
	expect("symlink", "symlinkat", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("sub/a"),
	       path("sub/deep/link"), outcome(result));
	return 0;
}
