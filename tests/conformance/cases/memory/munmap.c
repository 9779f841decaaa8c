/* munmap(2) of the second page of a mapping that begins at the file's fifth, then of the rest. */
#include "case.h"

int main(void)
{
	make_file("data", 40000);
	int fd = open_file("data", O_RDONLY);
	char *at = mmap(NULL, 12288, PROT_READ, MAP_SHARED, fd, 16384);

	CHECK(at != MAP_FAILED);
	CHECK(!munmap(at + 4096, 4096));
	CHECK(!munmap(at + 8192, 4096));
	expect("munmap", "munmap", "%s,%s,\"address\":\"%p\",\"size\":4096,\"offset\":20480,\"result\":0", path("data"), identity_of(fd),
	       at + 4096);
	expect("munmap", "munmap", "%s,%s,\"address\":\"%p\",\"size\":4096,\"offset\":24576,\"result\":0", path("data"), identity_of(fd),
	       at + 8192);
	return 0;
}
