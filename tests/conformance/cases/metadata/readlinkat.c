/* readlinkat(2) by a name relative to a directory's descriptor, into a buffer that is too short. */
#include "case.h"

int main(void)
{
	char content[4];

	CHECK(!mkdir("sub", 0755));
	CHECK(!symlink("somewhere", "sub/link"));
	int directory = open_file("sub", O_RDONLY | O_DIRECTORY);
	long result = syscall(SYS_readlinkat, directory, "link", content, sizeof(content));

	expect("readlink", "readlinkat", "%s,\"resolved\":false,\"result\":%ld", path("sub/link"), outcome(result));
	return 0;
}
