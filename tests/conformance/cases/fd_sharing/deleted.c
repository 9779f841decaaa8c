/* A file unlinked while open is read, opened again through /proc/self/fd, and read again; another file has its old name. */
#include "case.h"

int main(void)
{
	char buffer[100], link[64];

	CHECK(!mknod("data", S_IFREG | 0644, 0));
	CHECK(!truncate("data", 10000));
	int fd = syscall(SYS_open, "data", O_RDONLY);
	CHECK(!unlink("data"));
	CHECK(!mkdir("data", 0755));
	long first = outcome(syscall(SYS_pread64, fd, buffer, 100L, 500L));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	int again = syscall(SYS_open, link, O_RDONLY);
	long second = outcome(syscall(SYS_pread64, again, buffer, 50L, 9970L));

	CHECK(second == 30);
	expect("open", "open", "%s,%s,\"result\":%d", path("data"), identity_of(fd), fd);
	expect("read", "pread64", "%s,%s,\"fd\":%d,\"offset\":500,\"size\":100,\"result\":%ld", path("data"), identity_of(fd), fd, first);
	expect("open", "open", "%s,%s,\"fd\":%d,\"result\":%d", path("data"), identity_of(fd), again, again);
	expect("read", "pread64", "%s,%s,\"fd\":%d,\"offset\":9970,\"size\":50,\"result\":%ld", path("data"), identity_of(fd), again,
	       second);
	return 0;
}
