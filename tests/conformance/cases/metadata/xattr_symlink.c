/* Extended attributes of a symbolic link itself, which cannot have any: get and set fail. */
#include "case.h"

int main(void)
{
	char value[100];

	CHECK(!symlink("nowhere", "link"));
	long set = outcome(syscall(SYS_lsetxattr, "link", "user.colour", "blue", 4, 0));
	long list = outcome(syscall(SYS_llistxattr, "link", value, sizeof(value)));
	long get = outcome(syscall(SYS_lgetxattr, "link", "user.colour", value, sizeof(value)));
	long remove = outcome(syscall(SYS_lremovexattr, "link", "user.colour"));

	CHECK(set < 0 && get < 0 && remove < 0);
	expect("setxattr", "lsetxattr", "%s,\"resolved\":false,\"result\":%ld", path("link"), set);
	expect("listxattr", "llistxattr", "%s,\"resolved\":false,\"result\":%ld", path("link"), list);
	expect("getxattr", "lgetxattr", "%s,\"resolved\":false,\"result\":%ld", path("link"), get);
	expect("removexattr", "lremovexattr", "%s,\"resolved\":false,\"result\":%ld", path("link"), remove);
	return 0;
}
