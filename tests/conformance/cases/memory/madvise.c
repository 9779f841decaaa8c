/* madvise(2): MADV_RANDOM for a whole mapping, MADV_DONTNEED for its last page; then an unknown advice: EINVAL. */
#include "case.h"

int main(void)
{
	make_file("data", 16384);
	int fd = open_file("data", O_RDONLY);
	char *at = mmap(NULL, 16384, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	CHECK(!madvise(at, 16384, MADV_RANDOM));
	CHECK(!madvise(at + 12288, 4096, MADV_DONTNEED));
	long result = outcome(madvise(at, 4096, 9999));
	expect("madvise", "madvise", "%s,%s,\"address\":\"%p\",\"size\":16384,\"offset\":0,\"advice\":\"MADV_RANDOM\",\"result\":0",
	       path("data"), identity_of(fd), at);
	expect("madvise", "madvise", "%s,%s,\"address\":\"%p\",\"size\":4096,\"offset\":12288,\"advice\":\"MADV_DONTNEED\",\"result\":0",
	       path("data"), identity_of(fd), at + 12288);
	expect("madvise", "madvise", "%s,%s,\"address\":\"%p\",\"size\":4096,\"offset\":0,\"result\":%ld", path("data"), identity_of(fd),
	       at, result);
	return 0;
}
