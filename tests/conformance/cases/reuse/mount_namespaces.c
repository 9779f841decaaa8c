/* Mount namespaces that are created and removed with copies of two mounts of one directory: a file is read through each. */
#include "reuse.h"

int main(void)
{
	own_mounts();
	CHECK(!mkdir("d", 0755) && !mkdir("p1", 0755) && !mkdir("p2", 0755));
	make_file("d/name", 10);
	CHECK(!mount("d", "p1", NULL, MS_BIND, NULL) && !mount("d", "p2", NULL, MS_BIND, NULL));
	for (int i = 0; i < ROUNDS; i++) {
		fflush(stdout);
		pid_t child = fork();
		int status = 1;

		CHECK(child >= 0);
		if (!child) {
			CHECK(!unshare(CLONE_NEWNS));
			take(i % 2 ? "p1/name" : "p2/name");
			exit(0);
		}
		CHECK(waitpid(child, &status, 0) == child && !status);
		settle();
	}
	return 0;
}
