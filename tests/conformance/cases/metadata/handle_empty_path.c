/* name_to_handle_at(2) with AT_EMPTY_PATH: the descriptor's file. */
#include "case.h"

int main(void)
{
	char buffer[sizeof(struct file_handle) + MAX_HANDLE_SZ] = "";
	struct file_handle *handle = (struct file_handle *)buffer;
	int mount;

	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	handle->handle_bytes = MAX_HANDLE_SZ;
	long result = outcome(syscall(SYS_name_to_handle_at, fd, "", handle, &mount, AT_EMPTY_PATH));

	expect("handle", "name_to_handle_at", "%s,%s,\"fd\":%d,\"result\":%ld", path("a"), identity_of(fd), fd, result);
	return 0;
}
