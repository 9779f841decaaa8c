/* On overlayfs new files of one name: each has its own file of the upper layer, though number and name are the same. */
#include "reuse.h"

int main(void)
{
	char content[16];
	struct stat real;

	enter_overlay();
	for (int i = 0; i < ROUNDS; i++) {
		make_file("same", 10);
		CHECK(!stat("../upper/same", &real));
		int fd = open_file("same", O_RDONLY);
		long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));
		expect("read", "read", "%s,\"real\":{%s},\"fd\":%d,\"result\":%ld", path("same"), identity(&real), fd, result);
		CHECK(!close(fd) && !unlink("same"));
		settle();
		if (i % 2) { /* so that the number comes again later, and another one next */
			make_file("between", 10);
			settle();
		} else {
			unlink("between");
		}
	}
	return 0;
}
