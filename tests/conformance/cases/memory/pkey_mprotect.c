/* pkey_mprotect(2) without a key (-1), of the second page of a mapped file: as mprotect(2). */
#include "case.h"

int main(void)
{
	make_file("data", 16384);
	int fd = open_file("data", O_RDWR);
	char *at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 4096);

	CHECK(at != MAP_FAILED);
	long result = outcome(syscall(SYS_pkey_mprotect, at + 4096, 4096L, PROT_READ | PROT_WRITE, -1));
	expect("mprotect", "pkey_mprotect",
	       "%s,%s,\"address\":\"%p\",\"size\":4096,\"offset\":8192,\"protection\":[\"PROT_READ\",\"PROT_WRITE\"],\"result\":%ld",
	       path("data"), identity_of(fd), at + 4096, result);
	return 0;
}
