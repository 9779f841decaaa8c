/* openat2(2) with RESOLVE_IN_ROOT, failed and successful: absolute names and ".." stay below the directory, as fstat shows. */
#include "case.h"
#include <linux/openat2.h>

int main(void)
{
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT };
	const char *names[] = { "/etc/conf", "../../../conf", "etc/./../../conf" };
	const char *paths[] = { path("root/etc/conf"), path("root/conf"), path("root/conf") };
	long missing[3], found[3];

	CHECK(!mkdir("root", 0755) && !mkdir("root/etc", 0755));
	int root = open("root", O_PATH | O_DIRECTORY);
	for (int i = 0; i < 3; i++)
		missing[i] = outcome(syscall(SYS_openat2, root, names[i], &how, sizeof(how)));
	CHECK(missing[0] == -ENOENT && missing[1] == -ENOENT && missing[2] == -ENOENT);
	CHECK(!mknod("root/etc/conf", S_IFREG | 0644, 0) && !mknod("root/conf", S_IFREG | 0644, 0));
	expect("open", "openat", "%s,\"result\":%d", path("root"), root);
	for (int i = 0; i < 3; i++)
		expect("open", "openat2", "%s,\"resolved\":false,\"result\":%ld", paths[i], missing[i]);
	for (int i = 0; i < 3; i++) {
		found[i] = outcome(syscall(SYS_openat2, root, names[i], &how, sizeof(how)));
		CHECK(found[i] >= 0);
		expect("open", "openat2", "%s,%s,\"fd\":%ld,\"result\":%ld", paths[i], identity_of(found[i]), found[i], found[i]);
	}
	return 0;
}
