/* mknodat(2) of a regular file, by a name relative to a directory's descriptor, and again: EEXIST. */
#include "case.h"

int main(void)
{
	CHECK(!mkdir("sub", 0755));
	int directory = open_file("sub", O_PATH | O_DIRECTORY);
	long made = outcome(syscall(SYS_mknodat, directory, "a", S_IFREG | 0600, 0));
	long taken = outcome(syscall(SYS_mknodat, directory, "a", S_IFREG | 0644, 0));

	expect("mknod", "mknodat", "%s,\"resolved\":false,\"mode\":\"0%o\",\"result\":%ld", path("sub/a"), S_IFREG | 0600, made);
	expect("mknod", "mknodat", "%s,\"resolved\":false,\"mode\":\"0%o\",\"result\":%ld", path("sub/a"), S_IFREG | 0644, taken);
	return 0;
}
