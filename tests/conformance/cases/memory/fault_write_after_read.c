/* A read, then a write of the same page of a shared mapping: two faults, because the file system tracks writes. */
#include "case.h"
#include <sys/resource.h>

/* Both kinds: until v5.13 one that was tried again counts as major. */
static long faults(void)
{
	struct rusage usage;

	CHECK(!getrusage(RUSAGE_SELF, &usage));
	return usage.ru_minflt + usage.ru_majflt;
}

int main(void)
{
	make_file("data", 1 << 20);
	int fd = open_file("data", O_RDWR);
	CHECK(!fsync(fd));
	volatile char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	long before = faults();
	(void)at[524288 + 1];
	at[524288 + 2] = 'x';
	if (faults() - before != 2)
		cannot("a file system that tracks the first write to a mapped page");
	for (int i = 1; i <= 2; i++)
		expect("fault", "page_fault_user",
		       "%s,%s,\"address\":\"%p\",\"offset\":%d,\"access\":\"%s\",\"fault\":\"minor\",\"result\":0", path("data"),
		       identity_of(fd), at + 524288 + i, 524288 + i, i == 1 ? "read" : "write");
	return 0;
}
