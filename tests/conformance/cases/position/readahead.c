/* readahead(2) of a part of a file, and of a descriptor that is open for writing only: EBADF. */
#include "case.h"

int main(void)
{
	make_file("a", 16384);
	int readable = open_file("a", O_RDONLY), writable = open_file("a", O_WRONLY);
	long part = outcome(syscall(SYS_readahead, readable, 4096L, 8192L));
	long refused = outcome(syscall(SYS_readahead, writable, 0L, 100L));

	expect("readahead", "readahead", "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":8192,\"result\":%ld", path("a"), identity_of(readable),
	       readable, part);
	expect("readahead", "readahead", "%s,%s,\"fd\":%d,\"offset\":0,\"size\":100,\"result\":%ld", path("a"), identity_of(writable),
	       writable, refused);
	return 0;
}
