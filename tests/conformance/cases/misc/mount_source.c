/* mount(2) of a tmpfs: its source is text and not a path, as for a remount; a change of propagation has no source. */
#include "case.h"
#include <sched.h>
#include <sys/mount.h>

int main(void)
{
	CHECK(!mkdir("to", 0755));
	if (unshare(CLONE_NEWNS))
		cannot("a mount namespace needs CAP_SYS_ADMIN");
	long private = outcome(syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	long made = outcome(syscall(SYS_mount, "scratch", "to", "tmpfs", 0, NULL));
	long bare = outcome(syscall(SYS_mount, "none", "to", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	long device = outcome(syscall(SYS_mount, "no/device", "to", "ext4", MS_MGC_VAL, NULL));

	CHECK(!private && !made && !bare && (device == -ENOENT || device == -ENODEV));
	expect("mount", "mount", "\"path\":null,\"requested\":null,\"target\":{\"path\":\"/\",\"resolved\":false},\"result\":0");
	expect("mount", "mount",
	       "\"path\":null,\"requested\":\"scratch\",\"filesystem\":\"tmpfs\",\"target\":{%s,\"resolved\":false},\"result\":0",
	       path("to"));
	expect("mount", "mount", "\"path\":null,\"requested\":\"none\",\"filesystem\":null,\"target\":{%s},\"result\":0", path("to"));
	expect("mount", "mount", "%s,\"resolved\":false,\"target\":{%s},\"result\":%ld", path("no/device"), path("to"), device);
	return 0;
}
