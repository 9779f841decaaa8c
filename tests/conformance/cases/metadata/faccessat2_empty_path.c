/* faccessat2(2) with AT_EMPTY_PATH: the descriptor's file. */
#include "case.h"

int main(void)
{
	make_file("a", 10);
	int fd = open_file("a", O_RDONLY);
	long result = syscall(SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH);

	expect("access", "faccessat2", "%s,%s,\"fd\":%d,\"flags\":[\"R_OK\"],\"result\":%ld", path("a"), identity_of(fd), fd,
	       outcome(result));
	return 0;
}
