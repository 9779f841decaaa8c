/* On overlayfs: files from the lower and from the upper layer have the path that the process sees, and the underlying inode. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

static void take(const char *name, const char *beneath)
{
	struct stat seen, real;
	char content[100];
	int fd = open_file(name, O_RDONLY);

	CHECK(!fstat(fd, &seen) && !stat(beneath, &real));
	long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));
	expect("read", "read", "%s,\"inode\":\"%lu\",\"real\":{%s},\"fd\":%d,\"result\":%ld", path(name), (unsigned long)seen.st_ino,
	       identity(&real), fd, result);
}

int main(void)
{
	CHECK(!mkdir("lower", 0755) && !mkdir("upper", 0755) && !mkdir("work", 0755) && !mkdir("all", 0755));
	make_file("lower/a", 10);
	make_file("upper/b", 20);
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (mount("none", "all", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work"))
		cannot("overlayfs");
	take("all/a", "lower/a");
	take("all/b", "upper/b");
	return 0;
}
