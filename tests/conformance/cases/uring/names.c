/* io_uring: mkdirat, symlinkat, linkat, renameat and unlinkat, all relative to a directory's descriptor. */
#include "uring.h"

int main(void)
{
	struct uring ring = uring_setup(0);

	uring_need(&ring, IORING_OP_LINKAT, "io_uring's linkat");
	uring_push(&ring, IORING_OP_MKDIRAT, AT_FDCWD, "sub", 0751, 0);
	expect("mkdir", "io_uring:mkdirat", "%s,\"resolved\":false,\"mode\":\"0751\",\"result\":%d", path("sub"), uring_run(&ring));
	make_file("sub/a", 1);
	int directory = open_file("sub", O_RDONLY | O_DIRECTORY);
	uring_push(&ring, IORING_OP_SYMLINKAT, directory, "a", 0, (unsigned long)"s");
	expect("symlink", "io_uring:symlinkat", "%s,\"resolved\":false,\"target\":{%s},\"result\":%d", path("sub/a"), path("sub/s"),
	       uring_run(&ring));
	uring_push(&ring, IORING_OP_LINKAT, directory, "a", directory, (unsigned long)"b");
	expect("link", "io_uring:linkat", "%s,\"resolved\":false,\"target\":{%s},\"result\":%d", path("sub/a"), path("sub/b"),
	       uring_run(&ring));
	uring_push(&ring, IORING_OP_RENAMEAT, directory, "b", AT_FDCWD, (unsigned long)"c")->rename_flags = 1;
	expect("rename", "io_uring:renameat", "%s,\"resolved\":false,\"target\":{%s},\"flags\":[\"RENAME_NOREPLACE\"],\"result\":%d",
	       path("sub/b"), path("c"), uring_run(&ring));
	uring_push(&ring, IORING_OP_UNLINKAT, directory, "a", 0, 0);
	expect("unlink", "io_uring:unlinkat", "%s,\"resolved\":false,\"result\":%d", path("sub/a"), uring_run(&ring));
	return 0;
}
