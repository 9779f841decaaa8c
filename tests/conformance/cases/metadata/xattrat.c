/* Extended attributes by names relative to a directory's descriptor, with the calls of Linux 6.13. */
#include "case.h"

enum { SETXATTRAT = 463, GETXATTRAT, LISTXATTRAT, REMOVEXATTRAT };

int main(void)
{
	char text[100] = "blue";
	struct {
		unsigned long long value;
		unsigned int size, flags;
	} value = { (unsigned long)text, 4, 0 };

	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	int directory = open_file("sub", O_PATH | O_DIRECTORY);
	long set = outcome(syscall(SETXATTRAT, directory, "a", 0, "user.colour", &value, sizeof(value)));
	if (set == -ENOSYS)
		cannot("setxattrat");
	long get = outcome(syscall(GETXATTRAT, directory, "a", 0, "user.colour", &value, sizeof(value)));
	long list = outcome(syscall(LISTXATTRAT, directory, "a", 0, text, sizeof(text)));
	long remove = outcome(syscall(REMOVEXATTRAT, directory, "a", 0, "user.colour"));

	expect("setxattr", "setxattrat", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), set);
	expect("getxattr", "getxattrat", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), get);
	expect("listxattr", "listxattrat", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), list);
	expect("removexattr", "removexattrat", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), remove);
	return 0;
}
