/* sendfile(2) to a socket: a target without a path in the tree and without a position. */
#include "case.h"
#include <sys/sendfile.h>
#include <sys/socket.h>

int main(void)
{
	int ends[2];
	off_t offset = 0;

	make_file("source", 10000);
	int from = open_file("source", O_RDONLY);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	long result = outcome(sendfile(ends[0], from, &offset, 300));

	expect("sendfile", "sendfile", "%s,%s,\"fd\":%d,\"offset\":0,\"size\":300,\"target\":{%s},\"target_fd\":%d,\"result\":%ld",
	       path("source"), identity_of(from), from, identity_of(ends[0]), ends[0], result);
	return 0;
}
