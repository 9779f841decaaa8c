/* A fault in a file without a name or a descriptor: only the mapping still holds it. */
#include "case.h"

int main(void)
{
	make_file("data", 1 << 20);
	int fd = open_file("data", O_RDONLY);
	volatile char *at = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);
	const char *status = identity_of(fd);

	CHECK(at != MAP_FAILED);
	CHECK(!close(fd));
	CHECK(!unlink("data"));
	(void)at[500000];
	expect("fault", "page_fault_user",
	       "%s,%s,\"address\":\"%p\",\"offset\":500000,\"access\":\"read\",\"fault\":\"minor\",\"result\":0", path("data"), status,
	       at + 500000);
	return 0;
}
