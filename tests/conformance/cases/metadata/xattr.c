/* Extended attributes by name: set, list, get, remove, get again: ENODATA. */
#include "case.h"

int main(void)
{
	char value[100];

	make_file("a", 10);
	long set = outcome(syscall(SYS_setxattr, "a", "user.colour", "blue", 4, 0));
	long list = outcome(syscall(SYS_listxattr, "a", value, sizeof(value)));
	long get = outcome(syscall(SYS_getxattr, "a", "user.colour", value, sizeof(value)));
	long remove = outcome(syscall(SYS_removexattr, "a", "user.colour"));
	long gone = outcome(syscall(SYS_getxattr, "a", "user.colour", value, sizeof(value)));

	expect("setxattr", "setxattr", "%s,\"resolved\":false,\"result\":%ld", path("a"), set);
	expect("listxattr", "listxattr", "%s,\"resolved\":false,\"result\":%ld", path("a"), list);
	expect("getxattr", "getxattr", "%s,\"resolved\":false,\"result\":%ld", path("a"), get);
	expect("removexattr", "removexattr", "%s,\"resolved\":false,\"result\":%ld", path("a"), remove);
	expect("getxattr", "getxattr", "%s,\"resolved\":false,\"result\":%ld", path("a"), gone);
	return 0;
}
