/* An open file is unlinked, and then its directory is removed too: it keeps its last path. */
#include "case.h"

static void take(int fd, const char *more)
{
	char content[100];
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"result\":%ld%s", path("sub/a"), identity_of(fd), fd, result, more);
}

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int fd = open_file("sub/a", O_RDONLY);
	take(fd, "");
	CHECK(!unlink("sub/a") && !rmdir("sub"));
	take(fd, ",\"deleted\":true");
	return 0;
}
