/* A descriptor made with O_PATH: fstat(2) and dup(2) work on it, read(2) does not: EBADF. */
#include "case.h"

int main(void)
{
	struct stat status;
	char byte;

	CHECK(!mknod("data", S_IFREG | 0644, 0));
	int fd = syscall(SYS_open, "data", O_PATH);
	CHECK(!syscall(SYS_fstat, fd, &status));
	long result = outcome(syscall(SYS_read, fd, &byte, 1));
	int second = syscall(SYS_dup, fd);

	expect("open", "open", "%s,%s,\"fd\":%d,\"flags\":[\"O_RDONLY\",\"O_PATH\"],\"result\":%d", path("data"), identity(&status), fd,
	       fd);
	expect("stat", "fstat", "%s,%s,\"fd\":%d,\"result\":0", path("data"), identity(&status), fd);
	expect("read", "read", "\"fd\":%d,\"size\":1,\"result\":%ld", fd, result);
	expect("dup", "dup", "%s,%s,\"fd\":%d,\"result\":%d", path("data"), identity(&status), fd, second);
	return 0;
}
