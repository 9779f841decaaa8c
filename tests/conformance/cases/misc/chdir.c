/* chdir(2) and fchdir(2): relative names are reported with the current directory. A failed chdir changes nothing. */
#include "case.h"

int main(void)
{
	struct stat status;

	CHECK(!mkdir("sub", 0755) && !stat("sub", &status) && !mknod("sub/a", S_IFREG | 0644, 0) && !mknod("a", S_IFREG | 0644, 0));
	int back = syscall(SYS_open, ".", O_RDONLY | O_DIRECTORY);
	expect("open", "open", "%s,\"result\":%d", identity_of(back), back);
	expect("chdir", "chdir", "%s,\"resolved\":false,\"result\":-2", path("missing"));
	CHECK(syscall(SYS_chdir, "missing") == -1 && errno == ENOENT);
	expect("chdir", "chdir", "%s,%s,\"result\":0", path("sub"), identity(&status));
	CHECK(!syscall(SYS_chdir, "sub"));
	int inner = syscall(SYS_open, "a", O_RDONLY);
	expect("open", "open", "%s,%s,\"result\":%d", path("a"), identity_of(inner), inner);
	CHECK(syscall(SYS_open, "b", O_RDONLY) == -1);
	expect("open", "open", "%s,\"resolved\":false,\"result\":-2", path("b"));
	CHECK(!syscall(SYS_fchdir, back));
	expect("chdir", "fchdir", "%s,\"fd\":%d,\"result\":0", identity_of(back), back);
	int outer = syscall(SYS_open, "a", O_RDONLY);
	expect("open", "open", "%s,%s,\"result\":%d", path("a"), identity_of(outer), outer);
	return 0;
}
