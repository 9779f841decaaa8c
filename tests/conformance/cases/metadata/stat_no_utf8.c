/* stat(2) of a name that is not UTF-8: each invalid byte becomes U+FFFD. */
#include "case.h"

int main(void)
{
	struct stat status;

	make_file("a\xff"
		  "b",
		  10);
	long result = syscall(SYS_stat,
			      "a\xff"
			      "b",
			      &status);

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld",
	       path("a\xef\xbf\xbd"
		    "b"),
	       outcome(result));
	return 0;
}
