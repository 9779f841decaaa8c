/* ioctl(2) FICLONE from another file system: EXDEV. */
#include "case.h"
#include <linux/fs.h>
#include <sys/ioctl.h>

int main(void)
{
	char name[64];

	snprintf(name, sizeof(name), "/dev/shm/case-%d", getpid());
	make_file(name, 4096);
	int from = open_file(name, O_RDONLY), to = open_file("target", O_CREAT | O_WRONLY);
	CHECK(!unlink(name));
	long result = outcome(ioctl(to, FICLONE, from));

	expect("reflink", "ioctl", "%s,%s,\"fd\":%d,\"target\":{%s,%s},\"target_fd\":%d,\"result\":%ld", path(name), identity_of(from),
	       from, path("target"), identity_of(to), to, result);
	return 0;
}
