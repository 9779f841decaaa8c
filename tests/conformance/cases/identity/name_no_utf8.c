/* An open file whose name and directory name are not UTF-8: each invalid byte becomes U+FFFD. */
#include "case.h"

int main(void)
{
	char content[100];

	CHECK(!mkdir("\xfe", 0755));
	make_file("\xfe/a\xff"
		  "b",
		  10);
	int fd = open_file("\xfe/a\xff"
			   "b",
			   O_RDONLY);
	long result = outcome(syscall(SYS_read, fd, content, sizeof(content)));

	expect("read", "read", "%s,%s,\"fd\":%d,\"result\":%ld",
	       path("\xef\xbf\xbd/a\xef\xbf\xbd"
		    "b"),
	       identity_of(fd), fd, result);
	return 0;
}
