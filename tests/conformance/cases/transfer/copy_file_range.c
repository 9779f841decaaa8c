/* copy_file_range(2) with both offsets: the positions do not change. */
#include "case.h"

int main(void)
{
	off_t in = 2000, out = 100000;

	make_file("source", 10000);
	int from = open_file("source", O_RDONLY), to = open_file("target", O_CREAT | O_WRONLY);
	long result = outcome(copy_file_range(from, &in, to, &out, 3000, 0));

	CHECK(in == 5000 && out == 103000 && lseek(from, 0, SEEK_CUR) == 0 && lseek(to, 0, SEEK_CUR) == 0);
	expect("copy_file_range", "copy_file_range",
	       "%s,%s,\"fd\":%d,\"offset\":2000,\"size\":3000,\"target\":{%s,%s},\"target_fd\":%d,\"target_offset\":100000,\"result\":%ld",
	       path("source"), identity_of(from), from, path("target"), identity_of(to), to, result);
	return 0;
}
