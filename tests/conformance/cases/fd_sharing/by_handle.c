/* open_by_handle_at(2): a file opened by its handle, without any name. */
#include "case.h"

int main(void)
{
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ] = "";
	struct file_handle *handle = (struct file_handle *)room;
	int mount;

	CHECK(!mknod("data", S_IFREG | 0644, 0));
	int root = syscall(SYS_open, ".", O_RDONLY | O_DIRECTORY);
	expect("open", "open", "%s,\"result\":%d", identity_of(root), root);
	handle->handle_bytes = MAX_HANDLE_SZ;
	CHECK(!name_to_handle_at(AT_FDCWD, "data", handle, &mount, 0));
	int fd = syscall(SYS_open_by_handle_at, root, handle, O_RDONLY);
	if (fd < 0)
		cannot("open_by_handle_at needs CAP_DAC_READ_SEARCH");

	expect("open", "open_by_handle_at", "%s,\"fd\":%d,\"flags\":[\"O_RDONLY\"],\"result\":%d", identity_of(fd), fd, fd);
	return 0;
}
