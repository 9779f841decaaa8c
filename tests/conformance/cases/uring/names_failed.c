/* io_uring: unlinkat ENOENT, rmdir ENOTEMPTY, mkdirat EEXIST, renameat EEXIST, linkat EPERM and symlinkat EEXIST. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);
	const unsigned long a = (unsigned long)"sub/a", b = (unsigned long)"b";

	uring_need(&ring, IORING_OP_LINKAT, "io_uring's linkat");
	long made = outcome(syscall(SYS_mkdir, "sub", 0755));
	expect("mkdir", "mkdir", "%s,\"resolved\":false,\"mode\":\"0755\",\"result\":%ld", path("sub"), made);
	make_file("sub/a", 1);
	make_file("b", 1);
	uring_push(&ring, IORING_OP_UNLINKAT, AT_FDCWD, "missing", 0, 0);
	expect("unlink", "io_uring:unlinkat", "%s,\"resolved\":false,\"result\":%d", path("missing"), uring_run(&ring));
	uring_push(&ring, IORING_OP_UNLINKAT, AT_FDCWD, "sub", 0, 0)->unlink_flags = AT_REMOVEDIR;
	expect("rmdir", "io_uring:unlinkat", "%s,\"resolved\":false,\"result\":%d", path("sub"), uring_run(&ring));
	uring_push(&ring, IORING_OP_MKDIRAT, AT_FDCWD, "sub", 0700, 0);
	expect("mkdir", "io_uring:mkdirat", "%s,\"resolved\":false,\"mode\":\"0700\",\"result\":%d", path("sub"), uring_run(&ring));
	uring_push(&ring, IORING_OP_RENAMEAT, AT_FDCWD, "b", AT_FDCWD, a)->rename_flags = 1;
	expect("rename", "io_uring:renameat", "%s,\"resolved\":false,\"target\":{%s},\"result\":%d", path("b"), path("sub/a"),
	       uring_run(&ring));
	uring_push(&ring, IORING_OP_LINKAT, AT_FDCWD, "sub", AT_FDCWD, (unsigned long)"new");
	expect("link", "io_uring:linkat", "%s,\"resolved\":false,\"target\":{%s},\"result\":%d", path("sub"), path("new"),
	       uring_run(&ring));
	uring_push(&ring, IORING_OP_SYMLINKAT, AT_FDCWD, "/nowhere", 0, b);
	expect("symlink", "io_uring:symlinkat", "\"path\":\"/nowhere\",\"resolved\":false,\"target\":{%s},\"result\":%d", path("b"),
	       uring_run(&ring));
	return 0;
}
