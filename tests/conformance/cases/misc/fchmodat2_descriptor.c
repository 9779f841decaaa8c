/* fchmodat2(2) with AT_EMPTY_PATH: the mode of the file of a descriptor made with O_PATH. */
#include "case.h"

#define FCHMODAT2 452

int main(void)
{
	struct stat status;

	make_file("data", 0);
	int fd = open_file("data", O_PATH);
	long result = outcome(syscall(FCHMODAT2, fd, "", 0620, AT_EMPTY_PATH));
	if (result == -ENOSYS)
		cannot("fchmodat2");

	CHECK(!stat("data", &status) && (status.st_mode & 07777) == 0620);
	expect("setattr", "fchmodat2", "%s,%s,\"fd\":%d,\"mode\":\"0620\",\"result\":%ld", path("data"), identity(&status), fd, result);
	return 0;
}
