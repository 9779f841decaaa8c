/* A deleted file is opened again through its link in /proc: it has its last path. */
#include "case.h"

int main(void)
{
	char name[64], content[100];

	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	CHECK(!unlink("a"));
	sprintf(name, "/proc/self/fd/%d", fd);
	int again = open_file(name, O_RDONLY);
	long result = outcome(syscall(SYS_read, again, content, sizeof(content)));

	expect("read", "read", "%s,%s,\"deleted\":true,\"fd\":%d,\"offset\":0,\"result\":%ld", path("a"), identity_of(fd), again, result);
	return 0;
}
