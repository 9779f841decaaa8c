/* A file system that is repeatedly mounted at one path: numbers, names and memory are the same, the device is not. */
#include "reuse.h"

int main(void)
{
	char content[16];

	own_mounts();
	CHECK(!mkdir("m", 0755));
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(!mount("tmpfs", "m", "tmpfs", 0, NULL));
		make_file("m/name", 10);
		int fd = open_file("m/name", O_RDONLY);
		long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));
		expect("read", "read", "%s,%s,\"fd\":%d,\"result\":%ld", path("m/name"), identity_of(fd), fd, result);
		CHECK(!close(fd) && !umount("m"));
		settle();
	}
	return 0;
}
