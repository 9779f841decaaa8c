/* write(2) of a mapped page into a pipe: the kernel causes the fault, a read. */
#include "case.h"

int main(void)
{
	int ends[2];

	make_file("data", 1 << 20);
	int fd = open_file("data", O_RDONLY);
	char *at = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE, fd, 0);

	CHECK(at != MAP_FAILED);
	CHECK(!pipe(ends));
	CHECK(write(ends[1], at + 140000, 1) == 1);
	expect("fault", "page_fault_kernel",
	       "%s,%s,\"address\":\"%p\",\"offset\":140000,\"access\":\"read\",\"fault\":\"minor\",\"result\":0", path("data"),
	       identity_of(fd), at + 140000);
	return 0;
}
