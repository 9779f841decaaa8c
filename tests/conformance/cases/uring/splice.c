/* io_uring: splice from a file into a pipe, tee into another, splice out into a second file. */
#include "uring.h"

static int splice_now(struct uring *ring, int from, long offset, int to, long target_offset, int bytes)
{
	struct io_uring_sqe *sqe = uring_push(ring, IORING_OP_SPLICE, to, NULL, bytes, target_offset);

	sqe->splice_fd_in = from;
	sqe->splice_off_in = offset;
	return uring_run(ring);
}

int main(void)
{
	struct uring ring = uring_setup(0);
	int one[2], two[2];

	make_file("source", 10000);
	int from = open_file("source", O_RDONLY), to = open_file("target", O_CREAT | O_WRONLY);
	CHECK(!pipe(one) && !pipe(two));
	int in = splice_now(&ring, from, 6000, one[1], -1, 500);
	uring_push(&ring, IORING_OP_TEE, two[1], NULL, 400, 0)->splice_fd_in = one[0];
	int teed = uring_run(&ring);
	int out = splice_now(&ring, one[0], -1, to, 900, 4096);

	expect("splice", "io_uring:splice", "%s,%s,\"fd\":%d,\"offset\":6000,\"size\":500,\"target\":{%s},\"target_fd\":%d,\"result\":%d",
	       path("source"), identity_of(from), from, identity_of(one[1]), one[1], in);
	expect("tee", "io_uring:tee", "%s,\"fd\":%d,\"size\":400,\"target\":{%s},\"target_fd\":%d,\"result\":%d", identity_of(one[0]),
	       one[0], identity_of(two[1]), two[1], teed);
	expect("splice", "io_uring:splice",
	       "%s,\"fd\":%d,\"size\":4096,\"target\":{%s,%s},\"target_fd\":%d,\"target_offset\":900,\"result\":%d", identity_of(one[0]),
	       one[0], path("target"), identity_of(to), to, out);
	return 0;
}
