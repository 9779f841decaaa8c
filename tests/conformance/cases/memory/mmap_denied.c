/* mmap(2): shared and writable, of a descriptor that is open for reading only: EACCES. */
#include "case.h"

int main(void)
{
	make_file("data", 10000);
	int fd = open_file("data", O_RDONLY);
	long result = outcome((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));

	expect("mmap", "mmap",
	       "%s,%s,\"fd\":%d,\"offset\":0,\"size\":4096,\"protection\":[\"PROT_READ\",\"PROT_WRITE\"],\"flags\":[\"MAP_SHARED\"],"
	       "\"result\":%ld",
	       path("data"), identity_of(fd), fd, result);
	return 0;
}
