/* The first read of a mapped page in the cache: a minor fault, with the exact byte. */
#include "case.h"

int main(void)
{
	make_file("data", 1 << 20);
	int fd = open_file("data", O_RDONLY);
	volatile char *at = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	CHECK(!madvise((void *)at, 1 << 20, MADV_RANDOM));
	(void)at[327680 + 123];
	expect("fault", "page_fault_user",
	       "%s,%s,\"address\":\"%p\",\"offset\":327803,\"access\":\"read\",\"fault\":\"minor\",\"result\":0", path("data"),
	       identity_of(fd), at + 327803);
	return 0;
}
