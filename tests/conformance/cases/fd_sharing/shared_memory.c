/* A file on /dev/shm: written, renamed, written again under its new name, unlinked. */
#include "case.h"

int main(void)
{
	char old[64], new[64];

	snprintf(old, sizeof(old), "/dev/shm/case-%d", getpid());
	snprintf(new, sizeof(new), "/dev/shm/case-%d-new", getpid());
	int fd = syscall(SYS_open, old, O_CREAT | O_EXCL | O_WRONLY, 0600);
	CHECK(fd >= 0);
	long renamed = outcome(syscall(SYS_rename, old, new));
	long written = outcome(syscall(SYS_write, fd, "0123456789", 10));
	long unlinked = outcome(syscall(SYS_unlink, new));

	expect("open", "open", "%s,\"fd\":%d,\"mode\":\"0600\",\"result\":%d", identity_of(fd), fd, fd);
	expect("rename", "rename", "%s,\"resolved\":false,\"target\":{%s},\"result\":%ld", path(old), path(new), renamed);
	expect("write", "write", "%s,%s,\"fd\":%d,\"offset\":0,\"size\":10,\"result\":%ld", path(new), identity_of(fd), fd, written);
	expect("unlink", "unlink", "%s,\"resolved\":false,\"result\":%ld", path(new), unlinked);
	return 0;
}
