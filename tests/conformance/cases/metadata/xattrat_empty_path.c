/* getxattrat(2) and listxattrat(2) with AT_EMPTY_PATH: the descriptor's file. */
#include "case.h"

enum { GETXATTRAT = 464, LISTXATTRAT };

int main(void)
{
	char text[100];
	struct {
		unsigned long long value;
		unsigned int size, flags;
	} value = { (unsigned long)text, sizeof(text), 0 };

	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long get = outcome(syscall(GETXATTRAT, fd, "", AT_EMPTY_PATH, "user.colour", &value, sizeof(value)));
	if (get == -ENOSYS)
		cannot("getxattrat");
	long list = outcome(syscall(LISTXATTRAT, fd, "", AT_EMPTY_PATH, text, sizeof(text)));

	expect("getxattr", "getxattrat", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity_of(fd), fd, get);
	expect("listxattr", "listxattrat", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity_of(fd), fd, list);
	return 0;
}
