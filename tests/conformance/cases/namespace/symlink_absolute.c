/* symlink(2) with an absolute text, and to an existing name: EEXIST. */
#include "case.h"

int main(void)
{
	long made = outcome(syscall(SYS_symlink, "/nowhere/a", "link"));
	long taken = outcome(syscall(SYS_symlink, "/nowhere/b", "link"));

	expect("symlink", "symlink", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("/nowhere/a"),
	       path("link"), made);
	expect("symlink", "symlink", "%s,\"resolved\":false,\"target\":{%s,\"resolved\":false},\"result\":%ld", path("/nowhere/b"),
	       path("link"), taken);
	return 0;
}
