/* mmap(2) of a descriptor that is not open, at an invalid offset: EINVAL. */
#include "case.h"

int main(void)
{
	long result = outcome(syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE, 999, 1L));

	CHECK(result == -EINVAL);
	expect("mmap", "mmap", "\"fd\":999,\"offset\":1,\"size\":4096,\"result\":%ld", result);
	return 0;
}
