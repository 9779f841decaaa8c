/* A name is removed and created again as another file while the first is open: the first keeps the path and is deleted. */
#include "case.h"

static void take(int fd, const char *more)
{
	char content[100];
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"result\":%ld%s", path("a"), identity_of(fd), fd, result, more);
}

int main(void)
{
	make_file("a", 10);
	int first = open_file("a", O_RDONLY);
	take(first, "");
	CHECK(!unlink("a"));
	make_file("a", 20);
	int second = open_file("a", O_RDONLY);
	take(second, "");
	take(first, ",\"deleted\":true");
	return 0;
}
