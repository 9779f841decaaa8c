/* getdents(2), the old call, of a directory, and of a file: ENOTDIR. */
#include "case.h"

int main(void)
{
	char entries[4096];

	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int directory = open_file("sub", O_RDONLY | O_DIRECTORY), file = open_file("sub/a", O_RDONLY);
	long read = outcome(syscall(SYS_getdents, directory, entries, sizeof(entries)));
	long refused = outcome(syscall(SYS_getdents, file, entries, sizeof(entries)));

	expect("getdents", "getdents", "%s,%s,\"fd\":%d,\"result\":%ld", path("sub"), identity_of(directory), directory, read);
	expect("getdents", "getdents", "%s,%s,\"fd\":%d,\"result\":%ld", path("sub/a"), identity_of(file), file, refused);
	return 0;
}
