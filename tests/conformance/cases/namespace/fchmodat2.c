/* fchmodat2(2): of a symbolic link itself, which has no mode to change, and with AT_EMPTY_PATH of the descriptor's file. */
#include "case.h"

enum { FCHMODAT2 = 452 };

int main(void)
{
	make_file("a", 10);
	CHECK(!symlink("a", "link"));
	int fd = open_file("a", O_PATH);
	long link = outcome(syscall(FCHMODAT2, AT_FDCWD, "link", 0777, AT_SYMLINK_NOFOLLOW));
	long file = outcome(syscall(FCHMODAT2, fd, "", 0600, AT_EMPTY_PATH));

	if (link == -ENOSYS)
		cannot("fchmodat2");
	expect("setattr", "fchmodat2", "%s,\"resolved\":false,\"mode\":\"0777\",\"result\":%ld", path("link"), link);
	expect("setattr", "fchmodat2", "%s,%s,\"fd\":%d,\"mode\":\"0600\",\"result\":%ld", path("a"), identity_of(fd), fd, file);
	return 0;
}
