/* splice(2) of no bytes between descriptors that are not open succeeds; with unknown flags it fails: EINVAL. */
#include "case.h"

int main(void)
{
	long nothing = outcome(syscall(SYS_splice, 998, NULL, 999, NULL, 0L, 0));
	long refused = outcome(syscall(SYS_splice, 998, NULL, 999, NULL, 10L, 1 << 30));

	CHECK(!nothing && refused == -EINVAL);
	expect("splice", "splice", "\"fd\":998,\"target_fd\":999,\"size\":0,\"result\":%ld", nothing);
	expect("splice", "splice", "\"fd\":998,\"target_fd\":999,\"size\":10,\"result\":%ld", refused);
	return 0;
}
