/* io_submit(2): fsync(2) and fdatasync(2) as requests. */
#include "case.h"
#include <linux/aio_abi.h>

int main(void)
{
	aio_context_t context = 0;
	struct io_event event;

	int fd = open_file("data", O_CREAT | O_RDWR);
	if (syscall(SYS_io_setup, 8, &context))
		cannot("io_setup (CONFIG_AIO)");
	for (int command = IOCB_CMD_FSYNC; command <= IOCB_CMD_FDSYNC; command++) {
		struct iocb request = { .aio_lio_opcode = command, .aio_fildes = fd }, *one = &request;

		CHECK(syscall(SYS_io_submit, context, 1, &one) == 1);
		CHECK(syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1);
		expect("sync", "io_submit", "%s,%s,\"fd\":%d,\"result\":%lld", path("data"), identity_of(fd), fd, (long long)event.res);
	}
	return 0;
}
