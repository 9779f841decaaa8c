/* readlinkat(2) with the empty name, which needs no flag: the descriptor's link. */
#include "case.h"

int main(void)
{
	char content[100];

	CHECK(!symlink("somewhere", "link"));
	int fd = open_file("link", O_PATH | O_NOFOLLOW);
	long result = syscall(SYS_readlinkat, fd, "", content, sizeof(content));

	expect("readlink", "readlinkat", "%s,%s,\"fd\":%d,\"result\":%ld", path("link"), identity_of(fd), fd, outcome(result));
	return 0;
}
