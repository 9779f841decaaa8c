/* close_range(2) of three descriptors with gaps between them. A fourth, outside the range, stays open. */
#include "case.h"

int main(void)
{
	static const char *const names[] = { "a", "b", "c" };
	const char *files[3];

	int stays = open_file("stays", O_CREAT | O_RDWR);
	for (int i = 0; i < 3; i++) {
		int fd = open_file(names[i], O_CREAT | O_RDWR);

		files[i] = identity_of(fd);
		CHECK(dup2(fd, 100 + 2 * i) == 100 + 2 * i);
	}
	CHECK(!syscall(SYS_close_range, 100, ~0U, 0) && fcntl(stays, F_GETFD) != -1);
	for (int i = 0; i < 3; i++)
		expect("close", "close_range", "%s,%s,\"fd\":%d,\"result\":0", path(names[i]), files[i], 100 + 2 * i);
	return 0;
}
