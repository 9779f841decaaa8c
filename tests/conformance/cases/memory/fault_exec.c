/* The first instruction fetch from a mapped page. */
#include "case.h"

#ifdef __x86_64__
static const unsigned char instruction[] = { 0xc3 };
#elif defined(__aarch64__)
static const unsigned char instruction[] = { 0xc0, 0x03, 0x5f, 0xd6 };
#else
#error which instruction returns?
#endif

int main(void)
{
	make_file("code", 1 << 20);
	int fd = open_file("code", O_RDWR);
	CHECK(pwrite(fd, instruction, sizeof(instruction), 65536 + 16) == sizeof(instruction));
	char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	if (at == MAP_FAILED && errno == EPERM)
		cannot("a file system not mounted noexec");
	CHECK(at != MAP_FAILED);
	((void (*)(void))(at + 65536 + 16))();
	expect("fault", "page_fault_user", "%s,%s,\"address\":\"%p\",\"offset\":65552,\"access\":\"exec\",\"fault\":\"minor\",\"result\":0",
	       path("code"), identity_of(fd), at + 65552);
	return 0;
}
