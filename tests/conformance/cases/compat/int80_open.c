/* A 32-bit open(2), number 5: the 64-bit call of that number is fstat(2). The opened file is read with a 64-bit call. */
#include "int80.h"

int main(void)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	char buffer[100];

	signal(SIGSEGV, refuse);
	CHECK(low != MAP_FAILED);
	make_file("data", 1000);
	strcpy(low, "data");
	int fd = int80(5, (long)low, O_RDONLY, 0);
	if (fd < 0)
		refuse(0);
	long result = outcome(syscall(SYS_pread64, fd, buffer, 100L, 930L));

	CHECK(result == 70);
	puts("{\"op\":\"stat\",\"none\":true}");
	expect("read", "pread64", "%s,\"fd\":%d,\"offset\":930,\"size\":100,\"result\":%ld", path("data"), fd, result);
	return 0;
}
