/* pread64(2) at its own offset: in the file, at its end and beyond it. */
#include "case.h"

int main(void)
{
	static const long offsets[] = { 4096, 9990, 20000 };
	char content[100];

	make_file("a", 10000);
	int fd = open_file("a", O_RDONLY);
	for (int i = 0; i < 3; i++) {
		long result = outcome(syscall(SYS_pread64, fd, content, sizeof(content), offsets[i]));
		expect("read", "pread64", "%s,%s,\"fd\":%d,\"offset\":%ld,\"size\":100,\"result\":%ld", path("a"), identity_of(fd), fd,
		       offsets[i], result);
	}
	return 0;
}
