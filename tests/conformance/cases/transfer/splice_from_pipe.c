/* splice(2) from a pipe into a file: with its own offset, then at the position. */
#include "case.h"

int main(void)
{
	off_t offset = 8192;
	int ends[2];

	int to = open_file("target", O_CREAT | O_WRONLY);
	CHECK(!pipe(ends));
	CHECK(write(ends[1], "0123456789", 10) == 10);
	CHECK(lseek(to, 30, SEEK_SET) == 30);
	long first = outcome(splice(ends[0], NULL, to, &offset, 4, 0));
	long second = outcome(splice(ends[0], NULL, to, NULL, 4096, 0));

	CHECK(offset == 8196 && lseek(to, 0, SEEK_CUR) == 36);
	expect("splice", "splice", "%s,\"fd\":%d,\"size\":4,\"target\":{%s,%s},\"target_fd\":%d,\"target_offset\":8192,\"result\":%ld",
	       identity_of(ends[0]), ends[0], path("target"), identity_of(to), to, first);
	expect("splice", "splice", "%s,\"fd\":%d,\"size\":4096,\"target\":{%s,%s},\"target_fd\":%d,\"target_offset\":30,\"result\":%ld",
	       identity_of(ends[0]), ends[0], path("target"), identity_of(to), to, second);
	return 0;
}
