/* msync(2) of one page in the middle of a mapping that begins in the middle of a file, after its descriptor was closed. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a", 8 * 4096);
	int fd = open_file("a", O_RDWR);
	CHECK(!fstat(fd, &status));
	char *at = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 2 * 4096);
	CHECK(at != MAP_FAILED && !close(fd));
	at[4096] = 1;
	long result = syscall(SYS_msync, at + 4096, 4096L, MS_SYNC);

	expect("sync", "msync", "%s,%s,\"address\":\"0x%lx\",\"offset\":%d,\"size\":4096,\"result\":%ld", path("a"), identity(&status),
	       (unsigned long)at + 4096, 3 * 4096, outcome(result));
	return 0;
}
