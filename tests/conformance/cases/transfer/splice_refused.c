/* splice(2) between two files, neither of them a pipe: EINVAL; then at an offset of a pipe: ESPIPE. */
#include "case.h"

int main(void)
{
	off_t offset = 0;
	int ends[2];

	make_file("source", 10000);
	int from = open_file("source", O_RDONLY), to = open_file("target", O_CREAT | O_WRONLY);
	CHECK(!pipe(ends));
	long files = outcome(splice(from, NULL, to, NULL, 1000, 0));
	long seek = outcome(splice(from, NULL, ends[1], &offset, 1000, 0));

	expect("splice", "splice", "%s,%s,\"fd\":%d,\"size\":1000,\"target\":{%s,%s},\"target_fd\":%d,\"result\":%ld", path("source"),
	       identity_of(from), from, path("target"), identity_of(to), to, files);
	expect("splice", "splice", "%s,%s,\"fd\":%d,\"size\":1000,\"target\":{%s},\"target_fd\":%d,\"result\":%ld", path("source"),
	       identity_of(from), from, identity_of(ends[1]), ends[1], seek);
	return 0;
}
