/* sendfile(2) with its own offset, to a file: the source's position does not change, the target's does. */
#include "case.h"
#include <sys/sendfile.h>

int main(void)
{
	off_t offset = 1000;

	make_file("source", 10000);
	int from = open_file("source", O_RDONLY), to = open_file("target", O_CREAT | O_WRONLY);
	CHECK(lseek(to, 50, SEEK_SET) == 50);
	long result = outcome(sendfile(to, from, &offset, 4000));

	CHECK(offset == 5000 && lseek(from, 0, SEEK_CUR) == 0 && lseek(to, 0, SEEK_CUR) == 4050);
	expect("sendfile", "sendfile",
	       "%s,%s,\"fd\":%d,\"offset\":1000,\"size\":4000,\"target\":{%s,%s},\"target_fd\":%d,\"target_offset\":50,\"result\":%ld",
	       path("source"), identity_of(from), from, path("target"), identity_of(to), to, result);
	return 0;
}
