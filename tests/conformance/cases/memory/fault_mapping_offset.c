/* A fault in a mapping that does not begin at the start of the file: the offset is the file's. */
#include "case.h"

int main(void)
{
	make_file("data", 1 << 20);
	int fd = open_file("data", O_RDONLY);
	volatile char *at = mmap(NULL, 131072, PROT_READ, MAP_PRIVATE, fd, 589824);

	CHECK(at != MAP_FAILED);
	(void)at[69000];
	expect("fault", "page_fault_user",
	       "%s,%s,\"address\":\"%p\",\"offset\":658824,\"access\":\"read\",\"fault\":\"minor\",\"result\":0", path("data"),
	       identity_of(fd), at + 69000);
	return 0;
}
