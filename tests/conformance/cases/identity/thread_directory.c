/* A thread has a working directory of its own: names are relative to that of the calling thread. */
#include "case.h"
#include <pthread.h>
#include <sched.h>

static long result_of_thread;

static void *elsewhere(void *unused)
{
	struct stat status;

	CHECK(!unshare(CLONE_FS) && !chdir("sub"));
	result_of_thread = outcome(syscall(SYS_stat, "a", &status));
	return unused;
}

int main(void)
{
	struct stat status;
	pthread_t thread;

	CHECK(!mkdir("sub", 0755));
	make_file("sub/a", 10);
	CHECK(!pthread_create(&thread, NULL, elsewhere, NULL) && !pthread_join(thread, NULL));
	long result = outcome(syscall(SYS_stat, "a", &status));

	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("sub/a"), result_of_thread);
	expect("stat", "stat", "%s,\"resolved\":false,\"result\":%ld", path("a"), result);
	return 0;
}
