/* mremap(2): a mapping of the file's second page grows to three. */
#include "case.h"

int main(void)
{
	make_file("data", 40000);
	int fd = open_file("data", O_RDONLY);
	char *old = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096), text[32];

	CHECK(old != MAP_FAILED);
	snprintf(text, sizeof(text), "%p", old);
	CHECK(mremap(old, 4096, 12288, MREMAP_MAYMOVE) != MAP_FAILED);
	expect("mremap", "mremap", "%s,%s,\"address\":\"%s\",\"offset\":4096", path("data"), identity_of(fd), text);
	return 0;
}
