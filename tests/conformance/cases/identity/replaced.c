/* A file is replaced as editors do it: a new file is written and renamed over it. The old one keeps its path and is deleted. */
#include "case.h"

static void take(int fd, const char *name, const char *more)
{
	char content[100];
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"result\":%ld%s", path(name), identity_of(fd), fd, result, more);
}

int main(void)
{
	make_file("a", 10);
	int old = open_file("a", O_RDONLY);
	take(old, "a", "");
	make_file("a.new", 20);
	int new = open_file("a.new", O_RDONLY);
	take(new, "a.new", "");
	CHECK(!rename("a.new", "a"));
	take(old, "a", ",\"deleted\":true");
	take(new, "a", "");
	return 0;
}
