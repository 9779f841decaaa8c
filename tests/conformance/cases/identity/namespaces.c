/* Files of namespaces, which are in no directory: each has its name in /proc/self/fd, uts:[4026531838]. */
#include "case.h"

int main(void)
{
	const char *kinds[] = { "uts", "net", "mnt", "ipc", "user", "pid" };
	char name[64], link[64];

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		CHECK(snprintf(name, sizeof(name), "/proc/self/ns/%s", kinds[i]) > 0);
		int fd = open_file(name, O_RDONLY);
		char called[64] = "", content[1];

		CHECK(snprintf(link, sizeof(link), "/proc/self/fd/%d", fd) > 0 && readlink(link, called, sizeof(called) - 1) > 0);
		expect("open", "openat", "\"path\":\"%s\",%s,\"type\":\"file\",\"fd\":%d,\"result\":%d", called, identity_of(fd), fd, fd);
		long result = outcome(syscall(SYS_read, fd, content, 1));
		expect("read", "read", "\"path\":\"%s\",\"fd\":%d,\"size\":1,\"result\":%ld", called, fd, result);
	}
	return 0;
}
