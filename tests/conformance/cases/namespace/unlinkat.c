/* unlinkat(2) by a name relative to a directory's descriptor, of a symbolic link. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	CHECK(!symlink("nowhere", "sub/link"));
	int directory = open_file("sub", O_RDONLY | O_DIRECTORY);
	long result = syscall(SYS_unlinkat, directory, "link", 0);

	expect("unlink", "unlinkat", "%s,\"resolved\":false,\"result\":%ld", path("sub/link"), outcome(result));
	return 0;
}
