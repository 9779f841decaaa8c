/* Two descriptors of one open share the position; a second open of the file has its own. */
#include "case.h"

static void take(int fd, long offset)
{
	char content[100];
	long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));

	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":%ld,\"size\":100,\"result\":%ld", path("a"), identity_of(fd), fd, offset,
	       result);
}

int main(void)
{
	make_file("a", 1000);
	int first = open_file("a", O_RDONLY), second = dup(first), other = open_file("a", O_RDONLY);
	CHECK(second >= 0);
	take(first, 0);
	take(second, 100);
	CHECK(lseek(second, 500, SEEK_SET) == 500);
	take(first, 500);
	take(other, 0);
	return 0;
}
