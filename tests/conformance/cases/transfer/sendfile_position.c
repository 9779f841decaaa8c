/* sendfile(2) without an offset: from the source's position on, with fewer bytes than requested, as the file ends. */
#include "case.h"
#include <sys/sendfile.h>

int main(void)
{
	make_file("source", 10000);
	int from = open_file("source", O_RDONLY), to = open_file("target", O_CREAT | O_WRONLY);
	CHECK(lseek(from, 7000, SEEK_SET) == 7000);
	long result = outcome(sendfile(to, from, NULL, 65536));

	CHECK(result == 3000);
	expect("sendfile", "sendfile",
	       "%s,%s,\"fd\":%d,\"offset\":7000,\"size\":65536,\"target\":{%s,%s},\"target_fd\":%d,\"target_offset\":0,\"result\":%ld",
	       path("source"), identity_of(from), from, path("target"), identity_of(to), to, result);
	return 0;
}
