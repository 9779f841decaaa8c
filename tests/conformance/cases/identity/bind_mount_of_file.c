/* A file mounted on another file, in a mount namespace of its own: it has the path of the covered file. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

int main(void)
{
	struct stat status;
	char content[100];

	make_file("a", 10);
	make_file("b", 20);
	CHECK(!stat("a", &status));
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) && !mount("a", "b", NULL, MS_BIND, NULL));
	int fd = open_file("b", O_RDONLY);
	long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));

	expect("read", "read", "%s,%s,\"fd\":%d,\"result\":%ld", path("b"), identity(&status), fd, result);
	return 0;
}
