/* On overlayfs: the underlying file of a new file, and of a lower file opened for writing, is in the upper layer. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

static void put(const char *name, const char *beneath)
{
	struct stat real;
	int fd = open_file(name, O_CREAT | O_WRONLY);

	CHECK(!stat(beneath, &real));
	long result = outcome(syscall(SYS_write, fd, "new", 3));
	expect("write", "write", "%s,\"real\":{%s},\"fd\":%d,\"result\":%ld", path(name), identity(&real), fd, result);
}

int main(void)
{
	CHECK(!mkdir("lower", 0755) && !mkdir("upper", 0755) && !mkdir("work", 0755) && !mkdir("all", 0755));
	CHECK(!mknod("lower/a", S_IFREG | 0644, 0));
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (mount("none", "all", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work"))
		cannot("overlayfs");
	put("all/a", "upper/a");
	put("all/b", "upper/b");
	return 0;
}
