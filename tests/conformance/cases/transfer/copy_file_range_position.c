/* copy_file_range(2) without offsets, three times: to the end of the source, with fewer bytes than requested, and at the end. */
#include "case.h"

int main(void)
{
	make_file("source", 10000);
	int from = open_file("source", O_RDONLY), to = open_file("target", O_CREAT | O_WRONLY);

	for (int i = 0; i < 3; i++) {
		long in = lseek(from, 0, SEEK_CUR), out = lseek(to, 0, SEEK_CUR);
		long result = outcome(copy_file_range(from, NULL, to, NULL, 6000, 0));

		CHECK(lseek(from, 0, SEEK_CUR) - in == result && lseek(to, 0, SEEK_CUR) - out == result);
		expect("copy_file_range", "copy_file_range",
		       "%s,%s,\"fd\":%d,\"offset\":%ld,\"size\":6000,\"target\":{%s,%s},\"target_fd\":%d,\"target_offset\":%ld,\"result\":%ld",
		       path("source"), identity_of(from), from, in, path("target"), identity_of(to), to, out, result);
	}
	return 0;
}
