/* vmsplice(2): two memory areas into a pipe. */
#include "case.h"
#include <sys/uio.h>

int main(void)
{
	struct iovec pieces[] = { { "01234", 5 }, { "0123456", 7 } };
	int ends[2];

	CHECK(!pipe(ends));
	long result = outcome(vmsplice(ends[1], pieces, 2, 0));

	expect("vmsplice", "vmsplice", "%s,\"fd\":%d,\"result\":%ld", identity_of(ends[1]), ends[1], result);
	return 0;
}
