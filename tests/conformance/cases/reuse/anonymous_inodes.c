/* Anonymous inodes of several kinds, each closed at once: one inode, and names without a hash. */
#include "reuse.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>

static void take_anonymous(int fd)
{
	char link[64], now[PATH_MAX];

	CHECK(fd >= 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, now, sizeof(now) - 1);
	CHECK(length > 0);
	now[length] = 0;
	long result = outcome(syscall(SYS_close, fd));
	expect("close", "close", "\"path\":\"%s\",\"fd\":%d,\"result\":%ld", now, fd, result);
}

int main(void)
{
	for (int i = 0; i < 5; i++) {
		take_anonymous(inotify_init1(0));
		take_anonymous(epoll_create1(0));
		take_anonymous(eventfd(0, 0));
		take_anonymous(timerfd_create(CLOCK_MONOTONIC, 0));
		settle();
	}
	return 0;
}
