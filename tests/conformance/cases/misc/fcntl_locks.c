/* fcntl(2) locks: F_SETLK, a conflicting F_OFD_SETLK (EAGAIN), F_SETLKW, F_OFD_SETLKW. F_GETLK and F_GETFL lock nothing. */
#include "case.h"

int main(void)
{
	static const char *const names[] = { "F_SETLK", "F_OFD_SETLK", "F_SETLKW", "F_OFD_SETLKW" };
	static const int commands[] = { F_SETLK, F_OFD_SETLK, F_SETLKW, F_OFD_SETLKW };
	static const short types[] = { F_WRLCK, F_WRLCK, F_UNLCK, F_WRLCK };

	int fd = open_file("data", O_CREAT | O_RDWR);
	for (int i = 0; i < 4; i++) {
		struct flock lock = { .l_type = types[i], .l_whence = SEEK_SET, .l_start = 100, .l_len = 50 }, other = lock;

		other.l_type = F_RDLCK;
		CHECK(!syscall(SYS_fcntl, fd, F_GETLK, &other) && syscall(SYS_fcntl, fd, F_GETFL) >= 0);
		long result = outcome(syscall(SYS_fcntl, fd, commands[i], &lock));
		CHECK(result == (i == 1 ? -EAGAIN : 0));
		expect("lock", "fcntl", "%s,%s,\"fd\":%d,\"operation\":\"%s\",\"result\":%ld", path("data"), identity_of(fd), fd, names[i],
		       result);
	}
	return 0;
}
