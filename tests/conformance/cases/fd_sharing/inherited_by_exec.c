/* A descriptor that stays open across execve(2): the new program reads where the old one stopped. */
#include "case.h"

int main(int count, char **arguments)
{
	char buffer[100], number[16];

	if (count == 1)
		make_file("data", 10000);
	int fd = count == 1 ? open_file("data", O_RDONLY) : atoi(arguments[1]);
	long result = outcome(syscall(SYS_read, fd, buffer, sizeof(buffer)));

	expect("read", "read", "%s,%s,\"fd\":%d,\"offset\":%d,\"size\":100,\"result\":%ld", path("data"), identity_of(fd), fd,
	       count == 1 ? 0 : 100, result);
	snprintf(number, sizeof(number), "%d", fd);
	return count == 1 ? execl("/proc/self/exe", "again", number, NULL) : 0;
}
