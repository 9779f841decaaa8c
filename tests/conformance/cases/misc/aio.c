/* io_submit(2): two requests in one call, a write and a read. */
#include "case.h"
#include <linux/aio_abi.h>

int main(void)
{
	static char out[600], in[500];
	aio_context_t context = 0;
	struct io_event events[2];

	int fd = open_file("data", O_CREAT | O_RDWR);
	struct iocb write = {
		.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (unsigned long)out, .aio_nbytes = 600, .aio_offset = 1000
	};
	struct iocb read = {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd, .aio_buf = (unsigned long)in, .aio_nbytes = 500, .aio_offset = 1200
	};
	struct iocb *requests[] = { &write, &read };
	if (syscall(SYS_io_setup, 8, &context))
		cannot("io_setup (CONFIG_AIO)");
	CHECK(syscall(SYS_io_submit, context, 2, requests) == 2);
	CHECK(syscall(SYS_io_getevents, context, 2, 2, events, NULL) == 2);

	CHECK(events[0].res == 600 && events[1].res == 400);
	expect("write", "io_submit", "%s,%s,\"fd\":%d,\"offset\":1000,\"size\":600,\"result\":600", path("data"), identity_of(fd), fd);
	expect("read", "io_submit", "%s,%s,\"fd\":%d,\"offset\":1200,\"size\":500,\"result\":400", path("data"), identity_of(fd), fd);
	return 0;
}
