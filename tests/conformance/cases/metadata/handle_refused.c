/* name_to_handle_at(2) with no room for the handle: EOVERFLOW; and of a missing name: ENOENT. */
#include "case.h"

int main(void)
{
	struct file_handle handle = { 0 };
	int mount;

	make_file("a", 10);
	long room = outcome(syscall(SYS_name_to_handle_at, AT_FDCWD, "a", &handle, &mount, 0));
	long missing = outcome(syscall(SYS_name_to_handle_at, AT_FDCWD, "b", &handle, &mount, 0));

	expect("handle", "name_to_handle_at", "%s,\"resolved\":false,\"result\":%ld", path("a"), room);
	expect("handle", "name_to_handle_at", "%s,\"resolved\":false,\"result\":%ld", path("b"), missing);
	return 0;
}
