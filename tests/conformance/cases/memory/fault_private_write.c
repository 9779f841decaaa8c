/* The first write to a page of a private mapping: the page is copied, the file does not change. */
#include "case.h"

int main(void)
{
	char content;

	make_file("data", 1 << 20);
	int fd = open_file("data", O_RDONLY);
	volatile char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	CHECK(at != MAP_FAILED);
	at[8192 + 5] = 'x';
	CHECK(pread(fd, &content, 1, 8192 + 5) == 1 && !content);
	expect("fault", "page_fault_user", "%s,%s,\"address\":\"%p\",\"offset\":8197,\"access\":\"write\",\"result\":0", path("data"),
	       identity_of(fd), at + 8197);
	return 0;
}
