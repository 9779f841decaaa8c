/* O_TMPFILE: a file that never has a name, written and read. */
#include "case.h"

int main(void)
{
	char buffer[100];

	int fd = syscall(SYS_open, ".", O_TMPFILE | O_RDWR, 0600);
	if (fd < 0)
		cannot("O_TMPFILE");
	long written = outcome(syscall(SYS_write, fd, "0123456789", 10));
	long got = outcome(syscall(SYS_pread64, fd, buffer, 100L, 3L));

	expect("open", "open", "%s,\"deleted\":true,\"fd\":%d,\"flags\":[\"O_RDWR\",\"O_TMPFILE\"],\"mode\":\"0600\",\"result\":%d",
	       identity_of(fd), fd, fd);
	expect("write", "write", "%s,\"deleted\":true,\"fd\":%d,\"offset\":0,\"size\":10,\"result\":%ld", identity_of(fd), fd, written);
	expect("read", "pread64", "%s,\"deleted\":true,\"fd\":%d,\"offset\":3,\"size\":100,\"result\":%ld", identity_of(fd), fd, got);
	return 0;
}
