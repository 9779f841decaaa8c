/* The number of read(2) with the bit of x32, an ABI that this kernel does not have: ENOSYS, and no read. */
#include "case.h"

#define X32 0x40000000

int main(void)
{
	char buffer[100];

	make_file("data", 1000);
	int fd = open_file("data", O_RDONLY);
	if (syscall(X32 | SYS_read, fd, buffer, 100) != -1 || errno != ENOSYS)
		cannot("a kernel without x32");
	CHECK(!lseek(fd, 0, SEEK_CUR));
	puts("{\"op\":\"read\",\"none\":true}");
	return 0;
}
