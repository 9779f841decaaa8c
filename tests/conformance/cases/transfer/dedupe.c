/* ioctl(2) FIDEDUPERANGE with one target: refused if the file system cannot share blocks. */
#include "case.h"
#include <linux/fs.h>
#include <sys/ioctl.h>

int main(void)
{
	struct {
		struct file_dedupe_range head;
		struct file_dedupe_range_info target;
	} range = { { .src_offset = 4096, .src_length = 4096, .dest_count = 1 } };

	make_file("source", 16384);
	make_file("target", 16384);
	int from = open_file("source", O_RDONLY), to = open_file("target", O_RDWR);
	range.target.dest_fd = to;
	range.target.dest_offset = 8192;
	long result = outcome(ioctl(from, FIDEDUPERANGE, &range));

	expect("dedupe", "ioctl",
	       "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":4096,\"target\":{%s,%s},\"target_fd\":%d,\"target_offset\":8192,\"result\":%ld",
	       path("source"), identity_of(from), from, path("target"), identity_of(to), to, result);
	return 0;
}
