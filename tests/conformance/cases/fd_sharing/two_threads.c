/* Threads share descriptors: one opens, another reads, a third closes, and the number is free for the next open. */
#include "case.h"
#include <pthread.h>

static char buffer[100];
static int fd;
static long result;

static void *open_it(void *name)
{
	fd = syscall(SYS_open, name, O_CREAT | O_RDWR, 0644);
	return NULL;
}

static void *write_it(void *unused)
{
	(void)unused;
	result = syscall(SYS_pwrite64, fd, buffer, 100L, 50L);
	return NULL;
}

static void *close_it(void *unused)
{
	(void)unused;
	result = syscall(SYS_close, fd);
	return NULL;
}

static void in_thread(void *(*function)(void *), const char *name)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, function, (void *)name) && !pthread_join(thread, NULL));
}

int main(void)
{
	static const char *const names[] = { "one", "two" };

	for (int i = 0; i < 2; i++) {
		in_thread(open_it, names[i]);
		const char *status = identity_of(fd);
		expect("open", "open", "%s,%s,\"fd\":%d,\"result\":%d", path(names[i]), status, fd, fd);
		in_thread(write_it, NULL);
		expect("write", "pwrite64", "%s,%s,\"fd\":%d,\"offset\":50,\"result\":%ld", path(names[i]), status, fd, result);
		in_thread(close_it, NULL);
		expect("close", "close", "%s,%s,\"fd\":%d,\"result\":%ld", path(names[i]), status, fd, result);
	}
	return 0;
}
