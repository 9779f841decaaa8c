/* mmap(2): a whole file, shared, for reading. */
#include "case.h"

int main(void)
{
	make_file("data", 10000);
	int fd = open_file("data", O_RDONLY);
	void *at = mmap(NULL, 10000, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	expect("mmap", "mmap",
	       "%s,%s,\"fd\":%d,\"offset\":0,\"size\":10000,\"address\":\"%p\",\"protection\":[\"PROT_READ\"],\"flags\":[\"MAP_SHARED\"]",
	       path("data"), identity_of(fd), fd, at);
	return 0;
}
