/* Extended attributes by descriptor: set, list, get, remove, remove again: ENODATA. */
#include "case.h"

int main(void)
{
	char value[100];

	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	const char *file = path("a"), *inode = identity_of(fd);
	long set = outcome(syscall(SYS_fsetxattr, fd, "user.colour", "blue", 4, 0));
	long list = outcome(syscall(SYS_flistxattr, fd, value, sizeof(value)));
	long get = outcome(syscall(SYS_fgetxattr, fd, "user.colour", value, sizeof(value)));
	long remove = outcome(syscall(SYS_fremovexattr, fd, "user.colour"));
	long gone = outcome(syscall(SYS_fremovexattr, fd, "user.colour"));

	expect("setxattr", "fsetxattr", "%s,%s,\"fd\":%d,\"result\":%ld", file, inode, fd, set);
	expect("listxattr", "flistxattr", "%s,%s,\"fd\":%d,\"result\":%ld", file, inode, fd, list);
	expect("getxattr", "fgetxattr", "%s,%s,\"fd\":%d,\"result\":%ld", file, inode, fd, get);
	expect("removexattr", "fremovexattr", "%s,%s,\"fd\":%d,\"result\":%ld", file, inode, fd, remove);
	expect("removexattr", "fremovexattr", "%s,%s,\"fd\":%d,\"result\":%ld", file, inode, fd, gone);
	return 0;
}
