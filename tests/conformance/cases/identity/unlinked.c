/* A file is unlinked while it is open: reads and writes go on, with its last path. */
#include "case.h"

int main(void)
{
	char content[100];

	int fd = open_file("a", O_CREAT | O_RDWR);
	CHECK(!unlink("a"));
	long wrote = outcome(syscall(SYS_pwrite64, fd, "new", 3, 7L));
	long read = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("write", "pwrite64", "%s,%s,\"deleted\":true,\"fd\":%d,\"offset\":7,\"result\":%ld", path("a"), identity_of(fd), fd, wrote);
	expect("read", "pread64", "%s,%s,\"deleted\":true,\"fd\":%d,\"offset\":0,\"result\":%ld", path("a"), identity_of(fd), fd, read);
	return 0;
}
