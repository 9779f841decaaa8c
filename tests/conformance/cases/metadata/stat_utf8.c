/* stat(2) of a name in several scripts. */
#include "case.h"

int main(void)
{
	static const char name[] = "Größe_文件_файл_😀";
	struct stat status;

	make_file(name, 10);
	long result = syscall(SYS_stat, name, &status);

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path(name), outcome(result));
	return 0;
}
