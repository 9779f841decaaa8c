/* ioctl(2) FICLONERANGE of one page: refused if the file system cannot share blocks. Other ioctls are not reported. */
#include "case.h"
#include <linux/fs.h>
#include <sys/ioctl.h>

int main(void)
{
	int blocks;

	make_file("source", 16384);
	int from = open_file("source", O_RDONLY), to = open_file("target", O_CREAT | O_WRONLY);
	struct file_clone_range range = { from, 4096, 8192, 65536 };
	CHECK(!ioctl(to, FIGETBSZ, &blocks));
	long result = outcome(ioctl(to, FICLONERANGE, &range));

	expect("reflink", "ioctl",
	       "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":8192,\"target\":{%s,%s},\"target_fd\":%d,\"target_offset\":65536,\"result\":%ld",
	       path("source"), identity_of(from), from, path("target"), identity_of(to), to, result);
	return 0;
}
