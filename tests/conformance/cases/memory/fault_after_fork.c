/* A child reads its parent's mapping: the fault is the child's, and the parent's own comes later. */
#include "case.h"

int main(void)
{
	make_file("data", 1 << 20);
	int fd = open_file("data", O_RDONLY);
	volatile char *at = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	pid_t child = fork();
	if (child)
		CHECK(waitpid(child, NULL, 0) == child);
	(void)at[200000];
	expect("fault", "page_fault_user",
	       "%s,%s,\"address\":\"%p\",\"offset\":200000,\"access\":\"read\",\"fault\":\"minor\",\"result\":0", path("data"),
	       identity_of(fd), at + 200000);
	return 0;
}
