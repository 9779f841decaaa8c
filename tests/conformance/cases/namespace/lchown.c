/* lchown(2) of a symbolic link: the link's owner. */
#include "case.h"

int main(void)
{
	CHECK(!symlink("nowhere", "link"));
	long result = syscall(SYS_lchown, "link", 12, 34);

	expect("setattr", "lchown", "%s,\"resolved\":false,\"owner\":{\"uid\":12,\"gid\":34},\"result\":%ld", path("link"),
	       outcome(result));
	return 0;
}
