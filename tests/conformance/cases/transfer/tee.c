/* tee(2) from one pipe into another: the data stays in the first. */
#include "case.h"

int main(void)
{
	int from[2], to[2];

	CHECK(!pipe(from) && !pipe(to));
	CHECK(write(from[1], "0123456789", 10) == 10);
	long result = outcome(tee(from[0], to[1], 100, 0));

	expect("tee", "tee", "%s,\"fd\":%d,\"size\":100,\"target\":{%s},\"target_fd\":%d,\"result\":%ld", identity_of(from[0]), from[0],
	       identity_of(to[1]), to[1], result);
	return 0;
}
