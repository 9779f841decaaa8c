/* file_setattr(2): the flags of a file by its name, and of a missing one. */
#include "case.h"
#include <linux/fs.h>

#define FILE_SETATTR 469

int main(void)
{
	struct {
		unsigned long flags;
		unsigned extent, extents, project, cow_extent;
	} attributes = { .flags = FS_XFLAG_NODUMP };

	make_file("data", 10);
	long result = outcome(syscall(FILE_SETATTR, AT_FDCWD, "data", &attributes, sizeof(attributes), 0));
	if (result == -ENOSYS || result == -EOPNOTSUPP)
		cannot("file_setattr");
	long missing = outcome(syscall(FILE_SETATTR, AT_FDCWD, "missing", &attributes, sizeof(attributes), 0));

	expect("setattr", "file_setattr", "%s,\"resolved\":false,\"result\":%ld", path("data"), result);
	expect("setattr", "file_setattr", "%s,\"resolved\":false,\"result\":%ld", path("missing"), missing);
	return 0;
}
