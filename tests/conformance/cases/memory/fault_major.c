/* A page that must be read from the disk: a major fault; after a new mapping it is in the cache: a minor one. */
#include "case.h"
#include <sys/resource.h>

static volatile char *map(int fd)
{
	volatile char *at = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	CHECK(!madvise((void *)at, 1 << 20, MADV_RANDOM));
	return at;
}

static long major_faults(void)
{
	struct rusage usage;

	CHECK(!getrusage(RUSAGE_SELF, &usage));
	return usage.ru_majflt;
}

int main(void)
{
	make_file("data", 1 << 20);
	int fd = open_file("data", O_RDONLY);
	CHECK(!fsync(fd));
	CHECK(!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	for (int turn = 0; turn < 2; turn++) {
		volatile char *at = map(fd);
		long before = major_faults();

		(void)at[300000];
		if (major_faults() - before != !turn)
			cannot("a file system whose pages can be dropped from the cache, and are read one by one");
		expect("fault", "page_fault_user",
		       "%s,%s,\"address\":\"%p\",\"offset\":300000,\"access\":\"read\",\"fault\":\"%s\",\"result\":0", path("data"),
		       identity_of(fd), at + 300000, turn ? "minor" : "major");
		CHECK(!munmap((void *)at, 1 << 20));
	}
	return 0;
}
