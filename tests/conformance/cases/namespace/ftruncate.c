/* ftruncate(2) of a descriptor, and of one that is open for reading only: EINVAL. */
#include "case.h"

int main(void)
{
	make_file("a", 100);
	int writable = open_file("a", O_RDWR), readable = open_file("a", O_RDONLY);
	long shorter = outcome(syscall(SYS_ftruncate, writable, 7L));
	long refused = outcome(syscall(SYS_ftruncate, readable, 3L));

	expect("truncate", "ftruncate", "%s,%s,\"fd\":%d,\"size\":7,\"result\":%ld", path("a"), identity_of(writable), writable, shorter);
	expect("truncate", "ftruncate", "%s,%s,\"fd\":%d,\"size\":3,\"result\":%ld", path("a"), identity_of(readable), readable, refused);
	return 0;
}
