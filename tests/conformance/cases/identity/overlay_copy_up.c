/* On overlayfs: a file of the lower layer is copied up while it is open for reading; then the underlying inode is another. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

static void take(int fd, const char *beneath)
{
	struct stat real;
	char content[100];

	CHECK(!stat(beneath, &real));
	long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), 0L));
	expect("read", "pread64", "%s,\"real\":{%s},\"fd\":%d,\"result\":%ld", path("all/a"), identity(&real), fd, result);
}

int main(void)
{
	CHECK(!mkdir("lower", 0755) && !mkdir("upper", 0755) && !mkdir("work", 0755) && !mkdir("all", 0755));
	make_file("lower/a", 10);
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	CHECK(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (mount("none", "all", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work"))
		cannot("overlayfs");
	int fd = open_file("all/a", O_RDONLY);
	take(fd, "lower/a");
	CHECK(pwrite(open_file("all/a", O_WRONLY), "longer than before", 18, 0) == 18);
	take(fd, "upper/a");
	return 0;
}
