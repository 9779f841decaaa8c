/* finit_module(2) of a file that is not a module: the kernel reads it, and refuses it. */
#include "case.h"

int main(void)
{
	make_file("module", 5000);
	int fd = open_file("module", O_RDONLY);
	long result = outcome(syscall(SYS_finit_module, fd, "", 0));

	if (result == -ENOSYS || result == -EPERM)
		cannot("finit_module (CONFIG_MODULES, CAP_SYS_MODULE)");
	CHECK(result < 0);
	expect("read", "finit_module", "%s,%s,\"fd\":%d,\"result\":%ld", path("module"), identity_of(fd), fd, result);
	return 0;
}
