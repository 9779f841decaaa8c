/* mprotect(2): make a shared mapping of a file that is open for reading only writable: EACCES. */
#include "case.h"

int main(void)
{
	make_file("data", 16384);
	int fd = open_file("data", O_RDONLY);
	char *at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 8192);

	CHECK(at != MAP_FAILED);
	long result = outcome(mprotect(at + 4096, 4096, PROT_READ | PROT_WRITE));
	expect("mprotect", "mprotect",
	       "%s,%s,\"address\":\"%p\",\"size\":4096,\"offset\":12288,\"protection\":[\"PROT_READ\",\"PROT_WRITE\"],\"result\":%ld",
	       path("data"), identity_of(fd), at + 4096, result);
	return 0;
}
