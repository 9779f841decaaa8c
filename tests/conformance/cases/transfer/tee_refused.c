/* tee(2) from a file, which is not a pipe: EINVAL. */
#include "case.h"

int main(void)
{
	int ends[2];

	make_file("source", 100);
	int from = open_file("source", O_RDONLY);
	CHECK(!pipe(ends));
	long result = outcome(tee(from, ends[1], 100, 0));

	expect("tee", "tee", "%s,%s,\"fd\":%d,\"size\":100,\"target\":{%s},\"target_fd\":%d,\"result\":%ld", path("source"),
	       identity_of(from), from, identity_of(ends[1]), ends[1], result);
	return 0;
}
