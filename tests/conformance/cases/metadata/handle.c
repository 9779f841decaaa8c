/* name_to_handle_at(2), then the file opened by its handle with open_by_handle_at(2), without a name. */
#include "case.h"

int main(void)
{
	char buffer[sizeof(struct file_handle) + MAX_HANDLE_SZ] = "";
	struct file_handle *handle = (struct file_handle *)buffer;
	int mount;

	CHECK(!mkdir("sub", 0755) && !mknod("sub/a", S_IFREG | 0644, 0));
	handle->handle_bytes = MAX_HANDLE_SZ;
	long result = outcome(syscall(SYS_name_to_handle_at, AT_FDCWD, "sub/a", handle, &mount, 0));
	if (result == -EOPNOTSUPP || result == -ENOSYS)
		cannot("file handles");
	int fd = syscall(SYS_open_by_handle_at, AT_FDCWD, handle, O_RDONLY);

	if (fd < 0)
		cannot("open_by_handle_at needs CAP_DAC_READ_SEARCH");
	expect("handle", "name_to_handle_at", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), result);
	expect("open", "open_by_handle_at", "%s,%s,\"fd\":%d,\"flags\":[\"O_RDONLY\"],\"result\":%d", path("sub/a"), identity_of(fd), fd,
	       fd);
	return 0;
}
