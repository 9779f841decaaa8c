/* openat2(2): below a directory's descriptor, and once more with RESOLVE_NO_SYMLINKS on a symbolic link: ELOOP. */
#include "case.h"
#include <linux/openat2.h>

int main(void)
{
	struct open_how how = { .flags = O_RDWR | O_CREAT, .mode = 0604 }, strict = { .flags = O_RDONLY, .resolve = RESOLVE_NO_SYMLINKS };

	CHECK(!mkdir("sub", 0755) && !symlink("a", "sub/link"));
	int directory = open_file("sub", O_RDONLY | O_DIRECTORY);
	expect("open", "openat", "%s,%s,\"result\":%d", path("sub"), identity_of(directory), directory);
	int fd = outcome(syscall(SYS_openat2, directory, "a", &how, sizeof(how)));
	int refused = outcome(syscall(SYS_openat2, directory, "link", &strict, sizeof(strict)));

	CHECK(fd >= 0 && refused == -ELOOP);
	expect("open", "openat2", "%s,%s,\"fd\":%d,\"flags\":[\"O_RDWR\",\"O_CREAT\"],\"mode\":\"0604\",\"result\":%d", path("sub/a"),
	       identity_of(fd), fd, fd);
	expect("open", "openat2", "%s,\"resolved\":false,\"flags\":[\"O_RDONLY\"],\"result\":%d", path("sub/link"), refused);
	return 0;
}
