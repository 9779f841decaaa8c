/* The first write to a page of a shared mapping; a second write to it causes no fault. */
#include "case.h"

int main(void)
{
	make_file("data", 1 << 20);
	int fd = open_file("data", O_RDWR);
	volatile char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	at[4096 + 7] = 'x';
	at[4096 + 8] = 'y';
	expect("fault", "page_fault_user", "%s,%s,\"address\":\"%p\",\"offset\":4103,\"access\":\"write\",\"fault\":\"minor\",\"result\":0",
	       path("data"), identity_of(fd), at + 4103);
	return 0;
}
