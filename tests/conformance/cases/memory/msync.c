/* msync(2) of two pages of a changed mapping. */
#include "case.h"

int main(void)
{
	make_file("data", 16384);
	int fd = open_file("data", O_RDWR);
	char *at = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	at[5000] = 'x';
	CHECK(!msync(at + 4096, 8192, MS_SYNC));
	expect("sync", "msync", "%s,%s,\"address\":\"%p\",\"size\":8192,\"offset\":4096,\"result\":0", path("data"), identity_of(fd),
	       at + 4096);
	return 0;
}
