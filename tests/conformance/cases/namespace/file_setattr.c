/* file_setattr(2) of Linux 6.17, by name and by descriptor: sets the flag that excludes a file from dumps. */
#include "case.h"

enum { FILE_SETATTR = 469, XFLAG_NODUMP = 0x80 };

int main(void)
{
	struct {
		unsigned long long xflags;
		unsigned int extsize, nextents, projid, cowextsize;
	} attributes = { XFLAG_NODUMP };

	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long by_name = outcome(syscall(FILE_SETATTR, AT_FDCWD, "a", &attributes, sizeof(attributes), 0));
	long by_descriptor = outcome(syscall(FILE_SETATTR, fd, "", &attributes, sizeof(attributes), AT_EMPTY_PATH));

	if (by_name == -ENOSYS)
		cannot("file_setattr");
	expect("setattr", "file_setattr", "%s,\"resolved\":false,\"result\":%ld", path("a"), by_name);
	expect("setattr", "file_setattr", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity_of(fd), fd, by_descriptor);
	return 0;
}
