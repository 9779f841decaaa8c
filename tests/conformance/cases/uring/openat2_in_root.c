/* io_uring: openat2 with RESOLVE_IN_ROOT and RESOLVE_BENEATH of names that are missing, or would leave the directory. */
#include "uring.h"
#include <linux/openat2.h>

int main(void)
{
	struct open_how in_root = { .flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT }, beneath = { .resolve = RESOLVE_BENEATH };
	struct uring ring = uring_setup(0);

	CHECK(!mkdir("root", 0755));
	int root = open_file("root", O_RDONLY | O_DIRECTORY);
	expect("open", "openat", "%s,\"result\":%d", path("root"), root);
	uring_push(&ring, IORING_OP_OPENAT2, root, "/../conf", sizeof(in_root), (unsigned long)&in_root);
	int missing = uring_run(&ring);
	uring_push(&ring, IORING_OP_OPENAT2, root, "../conf", sizeof(beneath), (unsigned long)&beneath);
	int refused = uring_run(&ring);

	CHECK(missing == -ENOENT && refused == -EXDEV);
	expect("open", "io_uring:openat2", "%s,\"resolved\":false,\"result\":%d", path("root/conf"), missing);
	expect("open", "io_uring:openat2", "%s,\"requested\":\"../conf\",\"resolved\":false,\"result\":%d", path("root"), refused);
	return 0;
}
