/* flock(2): taken, refused to a second open file (EWOULDBLOCK), released, taken by the second. */
#include "case.h"
#include <sys/file.h>

int main(void)
{
	static const char *const names[] = { "LOCK_EX|LOCK_NB", "LOCK_EX|LOCK_NB", "LOCK_UN", "LOCK_SH" };
	static const int operations[] = { LOCK_EX | LOCK_NB, LOCK_EX | LOCK_NB, LOCK_UN, LOCK_SH };

	make_file("data", 0);
	int one = open_file("data", O_RDONLY), two = open_file("data", O_RDONLY);
	for (int i = 0; i < 4; i++) {
		int fd = i % 2 ? two : one;
		long result = outcome(syscall(SYS_flock, fd, operations[i]));

		CHECK(result == (i == 1 ? -EWOULDBLOCK : 0));
		expect("lock", "flock", "%s,%s,\"fd\":%d,\"operation\":\"%s\",\"result\":%ld", path("data"), identity_of(fd), fd, names[i],
		       result);
	}
	return 0;
}
