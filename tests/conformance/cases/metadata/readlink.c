/* readlink(2) of a symbolic link, and of a regular file: EINVAL. */
#include "case.h"

int main(void)
{
	char content[100];

	make_file("a", 10);
	CHECK(!symlink("somewhere", "link"));
	long link = outcome(syscall(SYS_readlink, "link", content, sizeof(content)));
	long file = outcome(syscall(SYS_readlink, "a", content, sizeof(content)));

	CHECK(link == strlen("somewhere"));
	expect("readlink", "readlink", "%s,\"resolved\":false,\"result\":%ld", path("link"), link);
	expect("readlink", "readlink", "%s,\"resolved\":false,\"result\":%ld", path("a"), file);
	return 0;
}
