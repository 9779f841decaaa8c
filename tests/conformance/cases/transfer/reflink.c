/* ioctl(2) FICLONE: done on a file system with shared blocks, refused on others. */
#include "case.h"
#include <linux/fs.h>
#include <sys/ioctl.h>

int main(void)
{
	make_file("source", 8192);
	int from = open_file("source", O_RDONLY), to = open_file("target", O_CREAT | O_WRONLY);
	long result = outcome(ioctl(to, FICLONE, from));

	expect("reflink", "ioctl", "%s,%s,\"fd\":%d,\"target\":{%s,%s},\"target_fd\":%d,\"result\":%ld", path("source"), identity_of(from),
	       from, path("target"), identity_of(to), to, result);
	return 0;
}
