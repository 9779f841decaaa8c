/* io_submit(2) with O_DIRECT: the disk completes later, io_getevents(2) returns the results; with vectors (PREADV). */
#include "case.h"
#include <linux/aio_abi.h>
#include <sys/uio.h>

static char memory[16384] __attribute__((aligned(4096)));

int main(void)
{
	struct iovec pieces[] = { { memory, 4096 }, { memory + 8192, 4096 } };
	aio_context_t context = 0;
	struct io_event event;

	make_file("data", 20480);
	int fd = open("data", O_RDONLY | O_DIRECT);
	if (fd < 0)
		cannot("O_DIRECT on this file system");
	struct iocb read = {
		.aio_lio_opcode = IOCB_CMD_PREADV, .aio_fildes = fd, .aio_buf = (unsigned long)pieces, .aio_nbytes = 2, .aio_offset = 4096
	};
	struct iocb *request = &read;
	if (syscall(SYS_io_setup, 8, &context))
		cannot("io_setup (CONFIG_AIO)");
	CHECK(syscall(SYS_io_submit, context, 1, &request) == 1);
	CHECK(syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1);

	expect("read", "io_submit", "%s,%s,\"fd\":%d,\"offset\":4096,\"size\":8192,\"result\":%lld", path("data"), identity_of(fd), fd,
	       (long long)event.res);
	return 0;
}
