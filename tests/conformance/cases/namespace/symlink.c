/* symlink(2): the file is the link's text, the target the new link. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	long result = syscall(SYS_symlink, "a", "link");

	expect("symlink", "symlink", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("a"), path("link"),
	       outcome(result));
	return 0;
}
