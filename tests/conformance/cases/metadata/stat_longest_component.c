/* stat(2) of a name of 255 bytes, the maximum, and of one byte more: ENAMETOOLONG. */
#include "case.h"

int main(void)
{
	char name[NAME_MAX + 2] = "";
	struct stat status;

	memset(name, 'n', NAME_MAX);
	make_file(name, 10);
	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path(name), outcome(syscall(SYS_stat, name, &status)));
	name[NAME_MAX] = 'n';
	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path(name), outcome(syscall(SYS_stat, name, &status)));
	return 0;
}
