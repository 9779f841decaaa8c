/* A 32-bit unlink(2), number 10, of a name in a mapped file: the 64-bit call of that number is mprotect(2). */
#include "int80.h"

int main(void)
{
	signal(SIGSEGV, refuse);
	make_file("data", 0);
	int fd = open_file("names", O_CREAT | O_RDWR);
	CHECK(write(fd, "data", 5) == 5);
	char *low = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_32BIT, fd, 0);
	CHECK(low != MAP_FAILED);
	if (int80(10, (long)low, 4096, PROT_NONE))
		refuse(0);
	CHECK(access("data", F_OK) == -1 && errno == ENOENT && *low == 'd');

	puts("{\"op\":\"mprotect\",\"none\":true}");
	return 0;
}
