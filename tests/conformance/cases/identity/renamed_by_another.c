/* Another process renames the directory above an open file. */
#include "case.h"

static void take(int fd, const char *name)
{
	char content[100];
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));

	expect("read", "pread64", "%s,%s,\"fd\":%d,\"result\":%ld", path(name), identity_of(fd), fd, result);
}

int main(void)
{
	int status;

	CHECK(!mkdir("old", 0755));
	make_file("old/a", 10);
	int fd = open_file("old/a", O_RDONLY);
	take(fd, "old/a");
	pid_t child = fork();
	if (child == 0)
		_exit(rename("old", "new") != 0);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	take(fd, "new/a");
	return 0;
}
