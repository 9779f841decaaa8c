/* newfstatat(2) by an absolute name: the directory's descriptor is ignored, though it is invalid. */
#include "case.h"

int main(void)
{
	struct stat status;
	char *name;

	make_file("a", 10);
	CHECK(asprintf(&name, "%s/a", getcwd(NULL, 0)) > 0);
	long result = syscall(SYS_newfstatat, 999, name, &status, 0);

	expect("stat", "newfstatat", "%s,\"resolved\":false,\"result\":%ld", path(name), outcome(result));
	return 0;
}
