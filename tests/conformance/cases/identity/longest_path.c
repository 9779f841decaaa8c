/* A file whose absolute path is 4095 bytes long: its reads have the whole path. */
#include "case.h"

int main(void)
{
	static char name[PATH_MAX];
	char content[100];

	CHECK(getcwd(name, sizeof(name)));
	size_t used = strlen(name);
	while (PATH_MAX - used > NAME_MAX) {
		name[used] = '/';
		memset(name + used + 1, 'd', 200);
		used += 201;
		CHECK(!mkdir(name, 0755));
	}
	name[used] = '/';
	memset(name + used + 1, 'f', PATH_MAX - 2 - used);
	make_file(name, 10);
	int fd = open_file(name, O_RDONLY);
	long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));

	expect("read", "read", "%s,%s,\"fd\":%d,\"result\":%ld", path(name), identity_of(fd), fd, result);
	return 0;
}
