/* munmap(2) after the descriptor was closed and the file unlinked: only the mapping still holds it. */
#include "case.h"

int main(void)
{
	make_file("data", 10000);
	int fd = open_file("data", O_RDONLY);
	char *at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	const char *status = identity_of(fd);

	CHECK(at != MAP_FAILED);
	CHECK(!close(fd));
	CHECK(!unlink("data"));
	CHECK(!munmap(at, 8192));
	expect("munmap", "munmap", "%s,%s,\"address\":\"%p\",\"size\":8192,\"offset\":0,\"result\":0", path("data"), status, at);
	return 0;
}
