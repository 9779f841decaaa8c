/* dup3(2), pread64(2) and ftruncate(2) of a descriptor that is not open, where another argument is checked first: EINVAL. */
#include "case.h"

int main(void)
{
	char buffer[4];
	long duplicate = outcome(syscall(SYS_dup3, 999, 999, 0));
	long before = outcome(syscall(SYS_pread64, 999, buffer, 4, -5L));
	long shorter = outcome(syscall(SYS_ftruncate, 999, -1L));

	CHECK(duplicate == -EINVAL && before == -EINVAL && shorter == -EINVAL);
	expect("dup", "dup3", "\"fd\":999,\"result\":%ld", duplicate);
	expect("read", "pread64", "\"fd\":999,\"size\":4,\"result\":%ld", before);
	expect("truncate", "ftruncate", "\"fd\":999,\"result\":%ld", shorter);
	return 0;
}
