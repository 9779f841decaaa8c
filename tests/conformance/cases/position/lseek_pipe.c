/* lseek(2) on a named pipe and on an unnamed one: ESPIPE. */
#include "case.h"

int main(void)
{
	char name[64];
	struct stat status;
	int ends[2];

	CHECK(!mknod("pipe", S_IFIFO | 0644, 0) && !pipe(ends) && !fstat(ends[0], &status));
	sprintf(name, "pipe:[%lu]", (unsigned long)status.st_ino);
	int fd = open_file("pipe", O_RDWR);
	long named = outcome(syscall(SYS_lseek, fd, 7L, SEEK_SET));
	long unnamed = outcome(syscall(SYS_lseek, ends[0], 9L, SEEK_SET));

	expect("seek", "lseek", "%s,%s,\"fd\":%d,\"offset\":7,\"whence\":\"SEEK_SET\",\"result\":%ld", path("pipe"), identity_of(fd), fd,
	       named);
	expect("seek", "lseek", "\"path\":\"%s\",%s,\"fd\":%d,\"offset\":9,\"whence\":\"SEEK_SET\",\"result\":%ld", name, identity(&status),
	       ends[0], unnamed);
	return 0;
}
