/* memfd_create(2): a file that exists only in memory, written, truncated and read. */
#include "case.h"

int main(void)
{
	char buffer[100];

	int fd = syscall(SYS_memfd_create, "note", MFD_CLOEXEC);
	CHECK(fd >= 0);
	long written = outcome(syscall(SYS_pwrite64, fd, "0123456789", 10L, 4096L));
	long cut = outcome(syscall(SYS_ftruncate, fd, 4100L));
	long got = outcome(syscall(SYS_pread64, fd, buffer, 100L, 4000L));

	CHECK(got == 100);
	expect("open", "memfd_create", "%s,\"fd\":%d,\"result\":%d", identity_of(fd), fd, fd);
	expect("write", "pwrite64", "%s,\"fd\":%d,\"offset\":4096,\"size\":10,\"result\":%ld", identity_of(fd), fd, written);
	expect("truncate", "ftruncate", "%s,\"fd\":%d,\"size\":4100,\"result\":%ld", identity_of(fd), fd, cut);
	expect("read", "pread64", "%s,\"fd\":%d,\"offset\":4000,\"size\":100,\"result\":%ld", identity_of(fd), fd, got);
	return 0;
}
