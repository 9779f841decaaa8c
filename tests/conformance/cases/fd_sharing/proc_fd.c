/* A descriptor opened again through /proc/self/fd and /dev/fd: the file's own name is reported, and each has its own position. */
#include "case.h"

int main(void)
{
	char buffer[100], name[64];

	CHECK(!mknod("data", S_IFREG | 0644, 0));
	CHECK(!truncate("data", 10000));
	int fd = syscall(SYS_open, "data", O_RDONLY);
	expect("open", "open", "%s,%s,\"result\":%d", path("data"), identity_of(fd), fd);
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s/%d", i ? "/dev/fd" : "/proc/self/fd", fd);
		int again = syscall(SYS_open, name, O_RDWR);
		long result = outcome(syscall(SYS_read, again, buffer, 100));

		expect("open", "open", "%s,%s,\"fd\":%d,\"flags\":[\"O_RDWR\"],\"result\":%d", path("data"), identity_of(fd), again, again);
		expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":0,\"result\":%ld", path("data"), identity_of(fd), again, result);
	}
	return 0;
}
