/* Pipes one after another: each has its own number, even if its inode reuses memory. */
#include "reuse.h"

int main(void)
{
	char byte;
	int ends[2];

	for (int i = 0; i < ROUNDS; i++) {
		char now[64];
		struct stat status;

		CHECK(!pipe(ends) && write(ends[1], "x", 1) == 1 && !fstat(ends[0], &status));
		long result = outcome(syscall(SYS_read, ends[0], &byte, 1L));
		snprintf(now, sizeof(now), "pipe:[%lu]", (unsigned long)status.st_ino);
		expect("write", "write", "\"path\":\"%s\",\"fd\":%d,\"result\":1", now, ends[1]);
		expect("read", "read", "\"path\":\"%s\",\"fd\":%d,\"result\":%ld", now, ends[0], result);
		CHECK(!close(ends[0]) && !close(ends[1]));
		settle();
	}
	return 0;
}
