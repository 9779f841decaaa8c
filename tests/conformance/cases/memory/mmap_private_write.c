/* mmap(2): private and writable, of a descriptor that is open for reading only; from the third page on, at a chosen address. */
#include "case.h"

int main(void)
{
	make_file("data", 40000);
	int fd = open_file("data", O_RDONLY);
	void *room = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *at = mmap(room, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 8192);

	CHECK(room != MAP_FAILED && at == room);
	expect("mmap", "mmap",
	       "%s,%s,\"fd\":%d,\"offset\":8192,\"size\":8192,\"address\":\"%p\",\"protection\":[\"PROT_READ\",\"PROT_WRITE\"],"
	       "\"flags\":[\"MAP_PRIVATE\",\"MAP_FIXED\"]",
	       path("data"), identity_of(fd), fd, room);
	return 0;
}
