/* stat(2) of a name with a quote, a backslash, a newline and an escape in it. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a\"\\\n\033", 10);
	long result = syscall(SYS_stat, "a\"\\\n\033", &status);

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("a\\\"\\\\\\n\\u001b"), outcome(result));
	return 0;
}
