/* read(2) into a mapped page: the kernel causes the fault, a write. */
#include "case.h"

int main(void)
{
	make_file("source", 10);
	make_file("data", 1 << 20);
	int source = open_file("source", O_RDONLY), fd = open_file("data", O_RDWR);
	char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	CHECK(read(source, at + 70000, 1) == 1);
	expect("fault", "page_fault_kernel",
	       "%s,%s,\"address\":\"%p\",\"offset\":70000,\"access\":\"write\",\"fault\":\"minor\",\"result\":0", path("data"),
	       identity_of(fd), at + 70000);
	return 0;
}
