/* creat(2) of a new and of an existing file; the flags are the equivalent ones. Then of a directory: EISDIR. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	int fd = outcome(syscall(SYS_creat, "a", 0640));
	int again = outcome(syscall(SYS_creat, "a", 0600));
	int refused = outcome(syscall(SYS_creat, "sub", 0600));

	CHECK(fd >= 0 && again >= 0 && refused == -EISDIR);
	expect("open", "creat", "%s,%s,\"fd\":%d,\"flags\":[\"O_WRONLY\",\"O_CREAT\",\"O_TRUNC\"],\"mode\":\"0640\",\"result\":%d",
	       path("a"), identity_of(fd), fd, fd);
	expect("open", "creat", "%s,%s,\"fd\":%d,\"mode\":\"0600\",\"result\":%d", path("a"), identity_of(again), again, again);
	expect("open", "creat", "%s,\"resolved\":false,\"result\":%d", path("sub"), refused);
	return 0;
}
