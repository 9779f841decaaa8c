/* O_DIRECT: a read without the cache that the end of the file cuts short, and one that is not aligned. */
#include "case.h"

static char memory[8192] __attribute__((aligned(4096)));

int main(void)
{
	CHECK(!mknod("data", S_IFREG | 0644, 0));
	CHECK(!truncate("data", 10000));
	int fd = syscall(SYS_open, "data", O_RDONLY | O_DIRECT);
	if (fd < 0)
		cannot("O_DIRECT on this file system");
	long got = outcome(syscall(SYS_pread64, fd, memory, 4096L, 8192L));
	long unaligned = outcome(syscall(SYS_pread64, fd, memory, 100L, 1L));

	expect("open", "open", "%s,%s,\"fd\":%d,\"flags\":[\"O_RDONLY\",\"O_DIRECT\"],\"result\":%d", path("data"), identity_of(fd), fd,
	       fd);
	expect("read", "pread64", "%s,%s,\"fd\":%d,\"offset\":8192,\"size\":4096,\"result\":%ld", path("data"), identity_of(fd), fd, got);
	expect("read", "pread64", "%s,%s,\"fd\":%d,\"offset\":1,\"size\":100,\"result\":%ld", path("data"), identity_of(fd), fd, unaligned);
	return 0;
}
