/* chmod(2) and fchmod(2) by a user who does not own the file: EPERM. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	CHECK(!syscall(SYS_chmod, ".", 0711));
	if (syscall(SYS_setresuid, 65534, 65534, 65534))
		cannot("a second user");
	long by_name = outcome(syscall(SYS_chmod, "a", 0777));
	long by_descriptor = outcome(syscall(SYS_fchmod, fd, 0777));

	expect("setattr", "chmod", "%s,\"resolved\":false,\"mode\":\"0711\",\"result\":0", path(getcwd(NULL, 0)));
	expect("setattr", "chmod", "%s,\"resolved\":false,\"mode\":\"0777\",\"result\":%ld", path("a"), by_name);
	expect("setattr", "fchmod", "%s,%s,\"fd\":%d,\"mode\":\"0777\",\"result\":%ld", path("a"), identity_of(fd), fd, by_descriptor);
	return 0;
}
