/* io_uring: openat of an existing file, of a missing one, and of one below a directory. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	static const char *const names[] = { "data", "missing", "new" };
	int results[3];

	CHECK(!mknod("data", S_IFREG | 0644, 0));
	CHECK(!mkdir("sub", 0755));
	int directory = syscall(SYS_open, "sub", O_PATH | O_DIRECTORY);
	expect("open", "open", "%s,%s,\"result\":%d", path("sub"), identity_of(directory), directory);
	for (int i = 0; i < 3; i++) {
		int at = i < 2 ? AT_FDCWD : directory;

		uring_push(&ring, IORING_OP_OPENAT, at, names[i], 0640, 0)->open_flags = i < 2 ? O_RDONLY : O_CREAT | O_WRONLY;
		results[i] = uring_run(&ring);
	}
	CHECK(results[1] == -ENOENT);
	expect("open", "io_uring:openat", "%s,%s,\"fd\":%d,\"flags\":[\"O_RDONLY\"],\"result\":%d", path("data"), identity_of(results[0]),
	       results[0], results[0]);
	expect("open", "io_uring:openat", "%s,\"resolved\":false,\"result\":%d", path("missing"), results[1]);
	expect("open", "io_uring:openat", "%s,%s,\"fd\":%d,\"flags\":[\"O_WRONLY\",\"O_CREAT\"],\"mode\":\"0640\",\"result\":%d",
	       path("sub/new"), identity_of(results[2]), results[2], results[2]);
	return 0;
}
