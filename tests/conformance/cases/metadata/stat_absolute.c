/* stat(2) by an absolute name. */
#include "case.h"

int main(void)
{
	struct stat status;
	char *name;

	make_file("a", 10);
	CHECK(asprintf(&name, "%s/a", getcwd(NULL, 0)) > 0);
	long result = syscall(SYS_stat, name, &status);

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path(name), outcome(result));
	return 0;
}
