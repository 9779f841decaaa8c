/* Directories above an open file are renamed and moved: later reads below them have the new path. */
#include "case.h"

static void take(int fd, const char *name)
{
	char content[100];
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"result\":%ld", path(name), identity_of(fd), fd, result);
}

int main(void)
{
	CHECK(!mkdir("one", 0755) && !mkdir("one/two", 0755) && !mkdir("else", 0755));
	make_file("one/two/a", 10);
	int fd = open_file("one/two/a", O_RDONLY);
	take(fd, "one/two/a");
	CHECK(!rename("one/two", "one/three"));
	take(fd, "one/three/a");
	CHECK(!rename("one", "else/one"));
	take(fd, "else/one/three/a");
	return 0;
}
