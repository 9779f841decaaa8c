/* Faults of two threads in one mapping, in turn. A page that the first has touched causes no fault of the second. */
#include "case.h"
#include <pthread.h>

static volatile char *at;

static void *touch(void *offset)
{
	(void)at[0];
	(void)at[(long)offset];
	return NULL;
}

int main(void)
{
	static const long offsets[] = { 0, 262144, 786432 };
	pthread_t thread;

	make_file("data", 1 << 20);
	int fd = open_file("data", O_RDONLY);
	at = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(at != MAP_FAILED);
	for (int i = 1; i < 3; i++) {
		CHECK(!pthread_create(&thread, NULL, touch, (void *)offsets[i]));
		CHECK(!pthread_join(thread, NULL));
	}
	for (int i = 0; i < 3; i++)
		expect("fault", "page_fault_user", "%s,%s,\"address\":\"%p\",\"offset\":%ld,\"access\":\"read\",\"result\":0", path("data"),
		       identity_of(fd), at + offsets[i], offsets[i]);
	return 0;
}
