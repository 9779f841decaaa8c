/* The name by which a file was opened is removed, another one remains: it keeps that last path, the other open its own. */
#include "case.h"

static void take(int fd, const char *name)
{
	char content[100];
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"result\":%ld", path(name), identity_of(fd), fd, result);
}

int main(void)
{
	make_file("a", 10);
	CHECK(!link("a", "b"));
	int first = open_file("a", O_RDONLY), second = open_file("b", O_RDONLY);
	take(first, "a");
	CHECK(!unlink("a"));
	take(first, "a");
	take(second, "b");
	return 0;
}
