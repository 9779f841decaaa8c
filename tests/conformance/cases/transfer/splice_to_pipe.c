/* splice(2) from a file into a pipe: with its own offset, then from the position on. */
#include "case.h"

int main(void)
{
	off_t offset = 4096;
	int ends[2];

	make_file("source", 10000);
	int from = open_file("source", O_RDONLY);
	CHECK(!pipe(ends));
	CHECK(lseek(from, 100, SEEK_SET) == 100);
	long first = outcome(splice(from, &offset, ends[1], NULL, 1000, 0));
	long second = outcome(splice(from, NULL, ends[1], NULL, 500, SPLICE_F_MOVE));

	CHECK(offset == 5096 && lseek(from, 0, SEEK_CUR) == 600);
	expect("splice", "splice", "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":1000,\"target\":{%s},\"target_fd\":%d,\"result\":%ld",
	       path("source"), identity_of(from), from, identity_of(ends[1]), ends[1], first);
	expect("splice", "splice", "%s,%s,\"fd\":%d,\"offset\":100,\"size\":500,\"target\":{%s},\"target_fd\":%d,\"result\":%ld",
	       path("source"), identity_of(from), from, identity_of(ends[1]), ends[1], second);
	return 0;
}
