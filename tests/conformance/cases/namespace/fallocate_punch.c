/* fallocate(2) that punches a hole in a file and keeps its size. */
#include "case.h"

int main(void)
{
	make_file("a", 16384);
	int fd = open_file("a", O_RDWR);
	long result = syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096L, 4096L);

	expect("fallocate", "fallocate",
	       "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":4096,"
	       "\"flags\":[\"FALLOC_FL_KEEP_SIZE\",\"FALLOC_FL_PUNCH_HOLE\"],\"result\":%ld",
	       path("a"), identity_of(fd), fd, outcome(result));
	return 0;
}
