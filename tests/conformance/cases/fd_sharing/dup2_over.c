/* dup2(2) over an open descriptor: the same number is another file from then on. */
#include "case.h"

int main(void)
{
	char buffer[100];

	make_file("one", 1000);
	make_file("two", 1000);
	int one = open_file("one", O_RDONLY), two = open_file("two", O_RDONLY);
	const char *old = identity_of(two);
	long before = outcome(syscall(SYS_read, two, buffer, 10));
	long result = outcome(syscall(SYS_dup2, one, two));
	long after = outcome(syscall(SYS_read, two, buffer, 20));

	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":0,\"result\":%ld", path("two"), old, two, before);
	expect("dup", "dup2", "%s,%s,\"fd\":%d,\"result\":%ld", path("one"), identity_of(one), one, result);
	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":0,\"result\":%ld", path("one"), identity_of(one), two, after);
	return 0;
}
