/* truncate(2) to a length beyond 4 GiB, of a directory: EISDIR, and to a negative length: EINVAL. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	CHECK(!mkdir("sub", 0755));
	long longer = outcome(syscall(SYS_truncate, "a", 5L << 30));
	long directory = outcome(syscall(SYS_truncate, "sub", 0));
	long negative = outcome(syscall(SYS_truncate, "a", -1L));

	expect("truncate", "truncate", "%s,\"resolved\":false,\"size\":%ld,\"result\":%ld", path("a"), 5L << 30, longer);
	expect("truncate", "truncate", "%s,\"resolved\":false,\"size\":0,\"result\":%ld", path("sub"), directory);
	expect("truncate", "truncate", "%s,\"resolved\":false,\"result\":%ld", path("a"), negative);
	return 0;
}
