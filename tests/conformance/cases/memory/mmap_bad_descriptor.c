/* mmap(2) of a descriptor that is not open: EBADF. An anonymous mapping in addition is no access to a file. */
#include "case.h"

int main(void)
{
	long result = outcome((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 999, 0));

	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	expect("mmap", "mmap", "\"fd\":999,\"offset\":0,\"size\":4096,\"result\":%ld", result);
	return 0;
}
