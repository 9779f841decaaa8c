/* mprotect(2) of one page of a file's mapping, then of anonymous memory. */
#include "case.h"

int main(void)
{
	make_file("data", 16384);
	int fd = open_file("data", O_RDWR);
	char *at = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED && memory != MAP_FAILED);
	long result = outcome(mprotect(at + 8192, 4096, PROT_READ));
	CHECK(!mprotect(memory, 4096, PROT_READ));
	expect("mprotect", "mprotect",
	       "%s,%s,\"address\":\"%p\",\"size\":4096,\"offset\":8192,\"protection\":[\"PROT_READ\"],\"result\":%ld", path("data"),
	       identity_of(fd), at + 8192, result);
	return 0;
}
