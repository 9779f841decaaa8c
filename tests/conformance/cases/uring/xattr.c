/* io_uring: extended attributes, set and read by name and by descriptor; a missing one: ENODATA. */
#include "uring.h"

static int attribute(struct uring *ring, int op, int fd, const char *file, const char *name, char *value, int bytes)
{
	uring_push(ring, op, fd, name, bytes, (unsigned long)value)->addr3 = (unsigned long)file;
	return uring_run(ring);
}

int main(void)
{
	struct uring ring = uring_setup(0);
	char value[100] = "blue";

	uring_need(&ring, IORING_OP_GETXATTR, "io_uring's extended attributes");
	int fd = open_file("data", O_CREAT | O_RDWR);
	int set = attribute(&ring, IORING_OP_SETXATTR, AT_FDCWD, "data", "user.colour", value, 4);
	int fset = attribute(&ring, IORING_OP_FSETXATTR, fd, NULL, "user.shape", value, 3);
	int get = attribute(&ring, IORING_OP_GETXATTR, AT_FDCWD, "data", "user.missing", value, 100);
	int fget = attribute(&ring, IORING_OP_FGETXATTR, fd, NULL, "user.colour", value, 100);

	if (set == -EOPNOTSUPP)
		cannot("extended attributes of users");
	expect("setxattr", "io_uring:setxattr", "%s,\"resolved\":false,\"result\":%d", path("data"), set);
	expect("setxattr", "io_uring:fsetxattr", "%s,%s,\"fd\":%d,\"result\":%d", path("data"), identity_of(fd), fd, fset);
	expect("getxattr", "io_uring:getxattr", "%s,\"resolved\":false,\"result\":%d", path("data"), get);
	expect("getxattr", "io_uring:fgetxattr", "%s,%s,\"fd\":%d,\"result\":%d", path("data"), identity_of(fd), fd, fget);
	return 0;
}
