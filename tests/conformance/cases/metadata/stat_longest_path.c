/* stat(2) of an absolute path of 4095 bytes, the longest that a call accepts. */
#include "case.h"

int main(void)
{
	static char name[PATH_MAX];
	struct stat status;

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
	CHECK(!mknod(name, S_IFREG | 0644, 0));
	long result = syscall(SYS_stat, name, &status);

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path(name), outcome(result));
	return 0;
}
