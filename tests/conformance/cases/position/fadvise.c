/* fadvise64(2): a part will be needed, all will be read sequentially; and of a named pipe: ESPIPE. */
#include "case.h"

static void advise(const char *name, long offset, long size, int advice, const char *text)
{
	int fd = open_file(name, O_RDWR);
	long result = outcome(syscall(SYS_fadvise64, fd, offset, size, advice));

	expect("advise", "fadvise64", "%s,%s,\"fd\":%d,\"offset\":%ld,\"size\":%ld,\"advice\":\"%s\",\"result\":%ld", path(name),
	       identity_of(fd), fd, offset, size, text, result);
}

int main(void)
{
	make_file("a", 16384);
	CHECK(!mknod("pipe", S_IFIFO | 0644, 0));
	advise("a", 4096, 8192, POSIX_FADV_WILLNEED, "POSIX_FADV_WILLNEED");
	advise("a", 0, 0, POSIX_FADV_SEQUENTIAL, "POSIX_FADV_SEQUENTIAL");
	advise("pipe", 0, 10, POSIX_FADV_DONTNEED, "POSIX_FADV_DONTNEED");
	return 0;
}
