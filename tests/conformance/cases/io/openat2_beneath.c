/* openat2(2) with RESOLVE_BENEATH: names that would leave the directory are refused, EXDEV; others are looked up. */
#include "case.h"
#include <linux/openat2.h>

int main(void)
{
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_BENEATH };

	CHECK(!mkdir("root", 0755) && !mkdir("root/etc", 0755));
	int root = open("root", O_PATH | O_DIRECTORY);
	long absolute = outcome(syscall(SYS_openat2, root, "/etc/conf", &how, sizeof(how)));
	long above = outcome(syscall(SYS_openat2, root, "etc/../../conf", &how, sizeof(how)));
	long missing = outcome(syscall(SYS_openat2, root, "etc/conf", &how, sizeof(how)));

	CHECK(absolute == -EXDEV && above == -EXDEV && missing == -ENOENT);
	expect("open", "openat", "%s,\"result\":%d", path("root"), root);
	expect("open", "openat2", "%s,\"requested\":\"/etc/conf\",\"resolved\":false,\"result\":%ld", path("root"), absolute);
	expect("open", "openat2", "%s,\"requested\":\"etc/../../conf\",\"resolved\":false,\"result\":%ld", path("root"), above);
	expect("open", "openat2", "%s,\"resolved\":false,\"result\":%ld", path("root/etc/conf"), missing);
	return 0;
}
